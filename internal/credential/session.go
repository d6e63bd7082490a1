// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"fmt"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Session manages the client secrets of a credential in the Developer Console.
// It obtains a token with the management scopes when it first needs one, and
// keeps it to itself. It serves one goroutine.
type Session struct {
	store  *Store
	name   string // of the config; empty if it is not stored
	c      *Credential
	client *console.Client

	token       secret.Secret
	obtained    bool // the token, and it can be used
	usesCurrent bool // the current secret obtained it
}

// Format implements fmt.Formatter: a Session never shows its token.
func (*Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[session]")) }

// WithManagement runs work that manages a config's client secrets, and then
// ends the token that it used. No error of work is changed. What IMS refuses
// for good is an *advice.Error, other failures of it come back as they are.
func (s *Store) WithManagement(ctx context.Context, name string, c *Credential, work func(*Session) error) error {
	if err := c.checkManagement(name); err != nil {
		return err
	}
	return s.manage(ctx, name, c, work)
}

// checkManagement says what a config lacks for its secrets to be managed.
func (c *Credential) checkManagement(name string) error {
	switch {
	case c.Type == WebApp:
		return advice.New("Adobe offers no rotation for the %s credential of config/%s: change its secret in the Developer Console, then write it", WebApp, name).
			Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, name)
	case !c.CanRotate():
		return advice.New("config/%s has no console_org_id or no credential_id: both are numbers in the URL of the credential's page in the Developer Console", name).
			Run("vault write %sconfig/%s console_org_id=... credential_id=...", advice.Mount, name)
	}
	return nil
}

func (s *Store) manage(ctx context.Context, name string, c *Credential, work func(*Session) error) error {
	client, err := s.Console(c)
	if err != nil {
		return err
	}
	defer client.Close()
	m := &Session{store: s, name: name, c: c, client: client}
	defer m.end(ctx)
	return work(m)
}

// List returns the client secrets of the credential, as console.Client.List
// does.
func (m *Session) List(ctx context.Context) (*console.Listing, error) {
	if err := m.obtain(ctx); err != nil {
		return nil, err
	}
	return m.client.List(ctx, m.token, m.c.AtConsole())
}

// Add adds a client secret to the credential, as console.Client.Add does. After
// any other call it has a token, so that nothing is asked for before.
func (m *Session) Add(ctx context.Context) (*console.NewSecret, error) {
	if err := m.obtain(ctx); err != nil {
		return nil, err
	}
	return m.client.Add(ctx, m.token, m.c.AtConsole())
}

// Remove removes a client secret of the credential, as console.Client.Remove
// does.
func (m *Session) Remove(ctx context.Context, uuid string) error {
	if err := m.obtain(ctx); err != nil {
		return err
	}
	return m.client.Remove(ctx, m.token, m.c.AtConsole(), uuid)
}

// UsesCurrent reports whether the current client secret obtained the token,
// which is obtained if need be. If another did, IMS refuses the current one.
func (m *Session) UsesCurrent(ctx context.Context) (bool, error) {
	err := m.obtain(ctx)
	return m.usesCurrent, err
}

func (m *Session) obtain(ctx context.Context) error {
	if m.obtained {
		return nil
	}
	used, err := m.use(ctx, m.c, func(client *ims.Client, credential ims.Credential) error {
		token, err := client.ClientCredentials(ctx, credential, managementScopes)
		if token != nil {
			m.token = token.AccessToken // to be ended even if it cannot be used
		}
		return err
	})
	switch {
	case err == nil:
		m.obtained, m.usesCurrent = true, used.ClientSecret == m.c.Current
		return nil
	case ims.RefusedWith(err, ims.CodeInvalidScope):
		return advice.New("the credential may not manage its own client secrets: add the I/O Management API to its project in the Developer Console. The answer was: %s", err).Because(err)
	case ims.RefusedWith(err, ims.CodeInvalidClient) && m.name != "":
		return advice.New("IMS accepts no client secret of config/%s (%s): it was removed in the Developer Console, or the config comes from a backup older than its last rotation. Add a client secret there, then", m.name, err).
			Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, m.name).Because(err)
	}
	return err
}

// use is Store.Use, also for a config that is not stored.
func (m *Session) use(ctx context.Context, c *Credential, call func(*ims.Client, ims.Credential) error) (ims.Credential, error) {
	if m.name == "" {
		return m.store.try(c, c.InOrder(), call)
	}
	return m.store.Use(ctx, m.name, c, call)
}

// end ends the token, if there is one.
func (m *Session) end(ctx context.Context) {
	if m.token == "" {
		return
	}
	m.store.endUnneeded(ctx, m.c, func(ctx context.Context) error {
		_, err := m.use(ctx, m.latest(ctx), func(client *ims.Client, credential ims.Credential) error {
			return client.Invalidate(ctx, credential, m.token)
		})
		return err
	})
}

// latest is the config as it is by now: the secret that obtained the token may
// have been removed since.
func (m *Session) latest(ctx context.Context) *Credential {
	if m.name == "" {
		return m.c
	}
	stored, err := m.store.Get(ctx, m.name)
	if now := stored.Value; err == nil && now != nil && now.ClientID == m.c.ClientID && now.IMSURL == m.c.IMSURL {
		return now
	}
	return m.c
}

// ProveConsole asks the Developer Console whether it lets the credential manage
// its client secrets, if the ids for that are given. The errors are those of
// Prove.
func (s *Store) ProveConsole(ctx context.Context, c *Credential) error {
	if !c.CanRotate() {
		return nil
	}
	s.pool.EndQuiet(c.ConsoleURL, console.Share(c.ClientID)) // an operator asks, with other values
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	return s.manage(ctx, "", c, func(m *Session) error {
		if err := m.obtain(ctx); err != nil {
			return consoleProofError("IMS", c, err)
		}
		_, err := m.List(ctx)
		return consoleProofError("the Developer Console", c, err)
	})
}

// consoleProofError says which fields to compare.
func consoleProofError(service string, c *Credential, err error) error {
	const compare = "both are numbers in the URL of the credential's page, https://developer.adobe.com/console/projects/<console_org_id>/.../credentials/<credential_id>/details/..."
	switch {
	case err == nil:
		return nil
	case ims.RefusedWith(err, ims.CodeInvalidScope):
		return advice.Field("console_org_id, credential_id", "cannot be proven: %s. Nothing was stored. To leave rotation out, write both empty; to store them without asking, add verify=false", err).Because(err)
	case service == "IMS" && ims.RefusedByCode(err):
		return refusedProof(c, err)
	case service != "IMS" && kindOf(err) == ims.Refused:
		return advice.Field("console_org_id, credential_id", "the Developer Console does not list client secrets for console_org_id=%s with credential_id=%s to client_id %s: compare them; %s. Nothing was stored. The answer was: %s",
			c.ConsoleOrgID, c.CredentialID, c.ClientID, compare, err).Because(err)
	}
	return unproven(service, err)
}
