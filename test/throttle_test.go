// SPDX-License-Identifier: MPL-2.0

package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// Thirty roles of a credential that IMS throttles ask it once between them.
func TestThrottleOfACredential(t *testing.T) {
	t.Parallel()
	const roles, pause = 30, 3
	c := startCrowded(t)
	for i := range roles {
		c.vault.Write(t, fmt.Sprintf("adobeims/roles/r%d", i), vaulttest.Data{"scopes": fmt.Sprintf("openid,s%d", i), "verify": false, "exclusive": i%3 == 0})
	}
	c.vault.Write(t, configPath, vaulttest.Data{"max_retries": 0})
	for kind, fault := range map[string]emulator.Fault{
		"429": {Status: http.StatusTooManyRequests}, "503": {Status: http.StatusServiceUnavailable},
	} {
		t.Run(kind, func(t *testing.T) {
			fault.Path, fault.RetryAfter = emulator.TokenPath, fmt.Sprint(pause)
			remove := c.ims.Inject(fault)
			c.ims.ResetCounters()
			client, failures := c.vault.Client(t).Logical(), make([]error, roles)
			began := time.Now()
			for i := range roles {
				_, failures[i] = client.Read(fmt.Sprintf("adobeims/token/r%d", i))
			}
			require.Less(t, time.Since(began), pause*time.Second, "each is answered at once")
			requireStatus(t, fault.Status, failures[0], "who asked")
			for i, err := range failures[1:] {
				requireStatus(t, http.StatusTooManyRequests, err, fmt.Sprint("role ", i+1))
				require.Regexp(t, timestamp, err.Error(), "when to come back")
			}
			require.Equal(t, 1, c.ims.mints())
			remove()
			require.NotEmpty(t, c.vault.Read(t, "adobeims/token/second").Data["access_token"], "another credential")
			for i := range roles {
				vaulttest.WaitFor(t, 10*time.Second, "a token", func() error {
					_, err := client.Read(fmt.Sprintf("adobeims/token/r%d", i))
					return err
				})
			}
			require.Less(t, time.Since(began), (pause+5)*time.Second)
			for i := range roles {
				if i%3 != 0 {
					c.vault.Delete(t, fmt.Sprintf("adobeims/token/r%d", i))
				}
			}
		})
	}
}
