// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"-listen", "127.0.0.1:0", "-client-id", "id", "-client-secret", "s3cret", "-token-life", "90s",
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
	for _, want := range []string{"client_id=id ", "client_secret=s3cret ", "client_id=id-web ", "credential_type=oauth_web_app "} {
		require.Contains(t, text.String(), want)
	}

	response, err := http.PostForm(address+emulator.TokenPath, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"s3cret"}, "scope": {"openid"},
	})
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(body), `"expires_in":90`)
	response, err = http.Get(address + "/emulator/counters")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	stop()
	require.NoError(t, <-ended)
	_, err = http.Get(address + "/emulator/counters")
	require.Error(t, err)
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"argument"}, {"-token-life", "0"}, {"-listen", "nonsense"}} {
		require.Error(t, run(t.Context(), args, io.Discard, io.Discard), args)
	}
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard), flag.ErrHelp)

	o, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8280", o.listen)
	require.Len(t, o.clientSecret, 26)
}
