// SPDX-License-Identifier: MPL-2.0

package test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// snapshot is the storage of a server at a moment.
func snapshot(t *testing.T, vault *vaulttest.Server) []byte {
	t.Helper()
	var taken bytes.Buffer
	require.NoError(t, vault.Client(t).Sys().RaftSnapshot(&taken))
	require.NotZero(t, taken.Len())
	return taken.Bytes()
}

// restore puts a server's storage back, and waits until it serves.
func restore(t *testing.T, vault *vaulttest.Server, taken []byte) {
	t.Helper()
	require.NoError(t, vault.Client(t).Sys().RaftSnapshotRestore(bytes.NewReader(taken), true))
	vault.WaitActive(t)
	client := vault.Client(t).Logical()
	vaulttest.WaitFor(t, 20*time.Second, "the plugin to serve", func() error {
		_, err := client.Read("adobeims/info")
		return err
	})
}

// A snapshot from before a rotation is restored. As long as Adobe accepts the secret
// that it has, all goes on. After that the tokens on record are served, and then the
// message says what to do.
func TestSnapshotFromBeforeARotation(t *testing.T) {
	t.Parallel()
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour})
	vault := vaulttest.Start(t)
	ims.configure(t, vault, nil)
	token := readToken(t, vault)
	taken := snapshot(t, vault)
	rotated := ims.rotate(t, vault)

	restore(t, vault, taken)
	require.Equal(t, ims.uuids()[0], rotated["previous_secret_uuid"])
	require.NotContains(t, ims.config(t, vault), "previous_secret_uuid", "it does not know of the rotation")
	require.Equal(t, token, readToken(t, vault), "on record")
	vault.Delete(t, tokenPath)
	require.False(t, ims.Valid(token))
	token = readToken(t, vault)
	require.True(t, ims.Valid(token), "minted with the previous secret")

	// The previous secret is removed, as it would have been.
	require.NoError(t, ims.RemoveSecret(clientID, ims.uuids()[0]))
	require.Equal(t, token, readToken(t, vault), "on record")
	client := vault.Client(t).Logical()
	vault.Write(t, rolePath, vaulttest.Data{"scopes": "openid,AdobeID", "verify": false})
	_, err := client.Read(tokenPath)
	requireStatus(t, http.StatusBadRequest, err, "a mint with a secret that is gone")
	require.ErrorContains(t, err, "backup older than its last rotation")
	require.ErrorContains(t, err, "vault write adobeims/config/default client_secret=@secret.txt")
	_, err = client.Write(rotatePath, nil)
	requireStatus(t, http.StatusBadRequest, err, "a rotation with it")
	require.ErrorContains(t, err, "vault write adobeims/config/default client_secret=@secret.txt")
	vault.Delete(t, tokenPath)
	require.False(t, ims.Valid(token), "the kill switch needs no secret that works")

	added, err := ims.AddSecret(clientID)
	require.NoError(t, err)
	ims.note()
	vault.Write(t, configPath, vaulttest.Data{"client_secret": added.Value})
	require.True(t, ims.Valid(readToken(t, vault)))
	vault.RequireNotLogged(t, ims.confidential()...)
}
