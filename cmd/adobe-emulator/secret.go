// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// clientSecret returns the client secret in a file, and where that is: path, or
// if it is empty, one that is the same at each start. Where there is no file,
// it makes one, without a newline: `vault write` takes all of it.
func clientSecret(path string) (where, secret string, err error) {
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", "", fmt.Errorf("-client-secret-file is needed: %w", err)
		}
		path = filepath.Join(cache, "vault-plugin-secrets-adobeims", "emulator-client-secret")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", "", err
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	contents, err := os.ReadFile(path) //nolint:gosec // a file of the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		contents = []byte("p8e-" + strings.ToLower(rand.Text()))
		err = os.WriteFile(path, contents, 0o600)
	}
	if err != nil {
		return "", "", err
	}
	if secret = strings.TrimSpace(string(contents)); secret == "" {
		return "", "", fmt.Errorf("there is no client secret in %s", path)
	}
	return path, secret, nil
}

// quote makes a word of a shell's command line of a path.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@", r)
	}
	if strings.TrimFunc(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
