// SPDX-License-Identifier: MPL-2.0

package host

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

func TestRecover(t *testing.T) {
	var log bytes.Buffer
	h := &Host{Log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	cause := errors.New("cause")
	require.NoError(t, h.Recover(func() error { return nil }))
	require.Equal(t, cause, h.Recover(func() error { return cause }), "as it came")
	require.Empty(t, log.String())

	var none []int
	for name, panics := range map[string]func() error{
		"a value":  func() error { panic("something odd") },
		"an error": func() error { panic(cause) },
		"runtime":  func() error { return fmt.Errorf("%d", none[len(log.String())]) },
		"nil":      func() error { panic(nil) },
	} {
		log.Reset()
		err := h.Recover(panics)
		var coded logical.HTTPCodedError
		require.ErrorAs(t, err, &coded, name)
		require.Equal(t, http.StatusInternalServerError, coded.Code(), name)
		require.Contains(t, log.String(), "a panic was recovered", name)
		require.Contains(t, log.String(), "host_test.go", "its stack")
		require.NotContains(t, err.Error(), "something odd", "what panicked is for the log")
	}
}

// What a panic says of a secret must not show.
func TestRecoverKeepsSecrets(t *testing.T) {
	var log bytes.Buffer
	err := Recover(hclog.New(&hclog.LoggerOptions{Output: &log}), func() error {
		panic(fmt.Errorf("odd token: %v", struct{ Token secret.Secret }{"s3cr3t-token"}))
	})
	require.Error(t, err)
	require.NotContains(t, log.String()+err.Error(), "s3cr3t-token")
}
