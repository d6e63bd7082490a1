// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Data is what a write sends.
type Data = map[string]any

var policies atomic.Int64

// Client is a client with the root token. It never retries, so that a test sees
// what happens.
func (s *Server) Client(t testing.TB) *api.Client {
	t.Helper()
	return s.ClientWithToken(t, s.RootToken)
}

// ClientWithToken is a client with another token; an empty one for requests
// without any.
func (s *Server) ClientWithToken(t testing.TB, token string) *api.Client {
	t.Helper()
	client, err := s.newClient(token)
	check(t, err, "make a client")
	return client
}

func (s *Server) newClient(token string) (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = s.Addr
	config.MaxRetries = 0
	config.Timeout = 30 * time.Second
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	return client, nil
}

// ClientWithPolicy is a client with a new token that has this policy and the
// default one.
func (s *Server) ClientWithPolicy(t testing.TB, rules string) *api.Client {
	t.Helper()
	return s.ClientWithToken(t, s.TokenWithPolicy(t, rules))
}

// TokenWithPolicy is a new token that has this policy and the default one.
func (s *Server) TokenWithPolicy(t testing.TB, rules string) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", policies.Add(1))
	client := s.Client(t)
	check(t, client.Sys().PutPolicy(name, rules), "write a policy")
	secret, err := client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{name}})
	check(t, err, "create a token")
	return secret.Auth.ClientToken
}

// Read reads a path as root and fails the test if there is an error or nothing
// there.
func (s *Server) Read(t testing.TB, path string) *api.Secret {
	t.Helper()
	secret, err := s.Client(t).Logical().Read(path)
	check(t, err, "read "+path)
	if secret == nil {
		t.Fatalf("read %s: there is nothing", path)
	}
	return secret
}

// Write writes to a path as root. What it returns is nil when the answer is
// empty.
func (s *Server) Write(t testing.TB, path string, data Data) *api.Secret {
	t.Helper()
	secret, err := s.Client(t).Logical().Write(path, data)
	check(t, err, "write "+path)
	return secret
}

// List lists a path as root; what is empty has no keys.
func (s *Server) List(t testing.TB, path string) []string {
	t.Helper()
	secret, err := s.Client(t).Logical().List(path)
	check(t, err, "list "+path)
	if secret == nil {
		return nil
	}
	var keys []string
	list, _ := secret.Data["keys"].([]any)
	for _, key := range list {
		keys = append(keys, fmt.Sprint(key))
	}
	return keys
}

// Delete deletes a path as root. What it returns is nil when the answer is
// empty.
func (s *Server) Delete(t testing.TB, path string) *api.Secret {
	t.Helper()
	secret, err := s.Client(t).Logical().Delete(path)
	check(t, err, "delete "+path)
	return secret
}
