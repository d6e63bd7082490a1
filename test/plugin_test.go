// SPDX-License-Identifier: MPL-2.0

package test

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/helper/pluginutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	adobeims "github.com/adobeims/vault-plugin-secrets-adobeims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// pluginHost runs the plugin as Vault does. The versions of go-plugin and grpc in it are newer than those
// that its SDK was released with.
type pluginHost struct {
	process  *goplugin.Client
	protocol goplugin.ClientProtocol
}

func startPlugin(t *testing.T, options ...pluginutil.RunOpt) *pluginHost {
	t.Helper()
	path := vaulttest.PluginBinary(t)
	contents, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(contents)
	runner := &pluginutil.PluginRunner{Name: vaulttest.PluginName, Command: path, Sha256: sum[:]}
	h := &pluginHost{}
	h.process, err = runner.RunConfig(t.Context(), append([]pluginutil.RunOpt{
		pluginutil.Runner(logical.TestSystemView()),
		pluginutil.HandshakeConfig(plugin.HandshakeConfig),
		pluginutil.PluginSets(plugin.PluginSet),
		pluginutil.AutoMTLS(true),
		pluginutil.Logger(hclog.NewNullLogger()),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(h.process.Kill)
	h.protocol, err = h.process.Client()
	require.NoError(t, err)
	return h
}

// connection is how Vault tells the plugin which of its mounts a call is for.
type connection struct {
	goplugin.ClientProtocol
	*grpc.ClientConn
	mount string
}

func (c *connection) Conn() grpc.ClientConnInterface { return c }
func (c *connection) Reload() error                  { return nil }
func (c *connection) Close() error                   { return nil }

func (c *connection) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx = metadata.AppendToOutgoingContext(ctx, pluginutil.MultiplexingCtxKey, c.mount)
	return c.ClientConn.Invoke(ctx, method, args, reply, opts...)
}

// mount is the plugin's backend for one mount.
type mount struct {
	logical.Backend
	storage logical.Storage
}

func (h *pluginHost) mount(t *testing.T, name string) *mount {
	t.Helper()
	conn := h.protocol.(*goplugin.GRPCClient).Conn
	backend, err := plugin.Dispense(h.protocol, &connection{h.protocol, conn, name})
	require.NoError(t, err)
	m := &mount{backend, &logical.InmemStorage{}}
	require.NoError(t, m.Setup(t.Context(), &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		System:      logical.TestSystemView(),
		StorageView: m.storage,
		BackendUUID: name,
	}))
	require.NoError(t, m.Initialize(t.Context(), &logical.InitializationRequest{Storage: m.storage}))
	return m
}

func (m *mount) request(t *testing.T, operation logical.Operation, path string, data vaulttest.Data) *logical.Response {
	t.Helper()
	resp, err := m.HandleRequest(t.Context(), &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage})
	require.NoError(t, err)
	require.False(t, resp.IsError(), "%v", resp)
	return resp
}

// The built binary speaks with a host of the very go-plugin and grpc that it is built with: handshake, mutual
// TLS, several mounts in one process, and calls in both directions.
func TestPluginProtocol(t *testing.T) {
	host := startPlugin(t)
	require.Equal(t, 5, host.process.NegotiatedVersion())
	require.NoError(t, host.protocol.Ping())
	muxed, err := pluginutil.MultiplexingSupported(t.Context(), host.protocol.(*goplugin.GRPCClient).Conn, vaulttest.PluginName)
	require.NoError(t, err)
	require.True(t, muxed, "one process for all mounts")

	first, second := host.mount(t, "first"), host.mount(t, "second")
	require.Equal(t, adobeims.Version, first.request(t, logical.ReadOperation, "info", nil).Data["version"])
	// A write goes through the host's storage and back, and stays in its mount.
	first.request(t, logical.CreateOperation, "config/default", vaulttest.Data{"client_id": clientID, "client_secret": clientSecret, "verify": false})
	require.Equal(t, clientID, first.request(t, logical.ReadOperation, "config/default", nil).Data["client_id"])
	require.Nil(t, second.request(t, logical.ReadOperation, "config/default", nil))
	keys, err := first.storage.List(t.Context(), "config/")
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, keys)

	first.Cleanup(t.Context())
	require.NotNil(t, second.request(t, logical.ReadOperation, "info", nil), "the other mount lives on")
	second.Cleanup(t.Context())
	host.process.Kill()
	require.True(t, host.process.Exited())
	logVersions(t)
}

// Without a mount Vault asks the plugin only what it is.
func TestPluginMetadata(t *testing.T) {
	set := map[int]goplugin.PluginSet{5: {plugin.BackendPluginName: &plugin.GRPCBackendPlugin{MetadataMode: true}}}
	host := startPlugin(t, pluginutil.MetadataMode(true), pluginutil.PluginSets(set))
	conn := host.protocol.(*goplugin.GRPCClient).Conn
	backend, err := plugin.Dispense(host.protocol, &connection{host.protocol, conn, "metadata"})
	require.NoError(t, err)
	require.NoError(t, backend.Setup(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger()}))
	require.Equal(t, logical.TypeLogical, backend.Type())
	require.Equal(t, adobeims.Version, backend.(logical.PluginVersioner).PluginVersion().Version)
	require.Contains(t, backend.SpecialPaths().SealWrapStorage, "config/")
	backend.Cleanup(t.Context())
}

func logVersions(t *testing.T) {
	t.Helper()
	info, err := buildinfo.ReadFile(vaulttest.PluginBinary(t))
	require.NoError(t, err)
	for _, module := range info.Deps {
		switch module.Path {
		case "github.com/hashicorp/go-plugin", "google.golang.org/grpc", "github.com/hashicorp/vault/sdk":
			t.Logf("the plugin has %s %s", module.Path, module.Version)
		}
	}
}
