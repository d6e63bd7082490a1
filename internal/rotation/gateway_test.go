// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// A gateway answers the removal in the console's place, in JSON. The secret is not
// forgotten before the console lists no such any more.
func TestRemovalThatAGatewayAnswers(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"no route":          {Status: 404, Body: `{"message":"no Route matched with those values"}`},
		"title":             {Status: 404, Body: `{"title":"Not Found","status":404}`},
		"status as code":    {Status: 404, Body: `{"error":{"code":404,"message":"Not found."}}`},
		"sign-in":           {Status: 200, Body: `{"message":"please sign in to the guest network"}`},
		"refusal in a 200":  {Status: 200, Body: `{"error":"Access Denied","blocked":true}`},
		"the console's 404": {Status: 404, Body: `{"title":"ErrNotFound","status":404,"error_code":404000,"message":"no such credential"}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.rotated()
			m.clock.Advance(time.Hour)
			fault.Method, fault.Path = "DELETE", "/console/*"
			remove := m.adobe.Inject(fault)
			m.tick()
			require.Len(t, m.stored().Retired, 1, "it is still to be removed")
			remove()
			m.settle()
			require.Len(t, m.uuids(), 1)
		})
	}
}

// The console added a secret, and what inspects its answers took this one away. The
// lost secret is removed, and the next rotation works.
func TestAnswerThatAGatewayWithholds(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"page":             {Status: 403, Body: `<html>blocked`, ContentType: "text/html"},
		"words":            {Status: 403, Body: `{"message":"response blocked by DLP policy"}`},
		"code of its own":  {Status: 200, Body: `{"error":{"code":"policy","message":"response blocked"}}`},
		"status as code":   {Status: 403, Body: `{"error":{"code":403,"message":"response blocked"}}`},
		"refusal in a 200": {Status: 200, Body: `{"error_code":403003,"error":"access_denied"}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			fault.Method, fault.Path, fault.After, fault.Times = "POST", secretsPath, true, 1
			require.Error(t, m.rotateWith(fault))
			m.settle()
			require.Empty(t, m.wal())
			require.Len(t, m.uuids(), 1)
			_, err := m.rotate()
			require.NoError(t, err)
		})
	}
}
