// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"-listen", "127.0.0.1:0", "-client-id", "id", "-client-secret-file", file, "-token-life", "90s",
			"-redirect-uri", "https://vault.example.com/v1/adobeims/callback",
		}, in, io.Discard)
		_ = in.Close()
	}()

	// The output is read as it comes: run goes on once all of it was taken.
	var text strings.Builder
	var address string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if value, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "ims_url="); ok {
			address = strings.TrimSuffix(value, ` \`)
		}
		if strings.Contains(lines.Text(), "curl -X DELETE") {
			break
		}
	}
	for _, want := range []string{
		"client_id=id ", "client_secret=@" + file + " ", "client_id=id-web ", "credential_type=oauth_web_app ",
		"Scopes other than these are refused: openid,",
	} {
		require.Contains(t, text.String(), want)
	}
	require.NotContains(t, text.String(), "s3cret")

	mint := func(scope string) (status int, body string) {
		response, err := http.PostForm(address+emulator.TokenPath, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"s3cret"}, "scope": {scope},
		})
		require.NoError(t, err)
		read, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, string(read)
	}
	_, body := mint("openid")
	require.Contains(t, body, `"expires_in":90`)
	status, body := mint("openid,no_such_scope")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "invalid_scope")
	response, err := http.Get(address + "/emulator/counters")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	stop()
	require.NoError(t, <-ended)
	_, err = http.Get(address + "/emulator/counters")
	require.Error(t, err)
}

func TestFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, args := range [][]string{
		{"-nonsense"}, {"argument"}, {"-token-life", "0"}, {"-client-secret-file", file, "-listen", "nonsense"},
	} {
		require.Error(t, run(t.Context(), args, io.Discard, io.Discard), args)
	}
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard), flag.ErrHelp)

	o, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8280", o.listen)
}

func TestClientSecret(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for _, path := range []string{"", filepath.Join(t.TempDir(), "mine")} {
		where, secret, err := clientSecret(path)
		require.NoError(t, err)
		require.Regexp(t, `^p8e-[a-z0-9]{26}$`, secret)
		contents, err := os.ReadFile(where)
		require.NoError(t, err)
		require.Equal(t, secret, string(contents), "vault write client_secret=@FILE takes all of it")
		info, err := os.Stat(where)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

		_, again, err := clientSecret(path)
		require.NoError(t, err)
		require.Equal(t, secret, again, "the same after a restart")
	}

	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	for _, path := range []string{empty, t.TempDir(), filepath.Join(t.TempDir(), "no", "folder")} {
		_, _, err := clientSecret(path)
		require.Error(t, err, path)
	}
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{
		"/root/.cache/x-1": "/root/.cache/x-1",
		"/Users/An Other":  "'/Users/An Other'",
		"/it's":            `'/it'\''s'`,
		"/a$b/c":           `'/a$b/c'`,
	} {
		require.Equal(t, want, quote(path))
	}
}
