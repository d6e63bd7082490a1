// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"slices"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// Use calls IMS with a config's current client secret and, where IMS does not
// accept that, with the others that may be good. Where it accepts none, those
// of a newer revision of the config are tried that belong to the same client at
// the same IMS: a rotation may have put them in place meanwhile. It returns the
// credential whose call brought the error that it returns, or none: if all are
// refused, that of the current secret.
//
// The call may be made more than once, but only after invalid_client. Its error
// comes back as it is.
func (s *Store) Use(ctx context.Context, name string, c *Credential, call func(*ims.Client, ims.Credential) error) (used ims.Credential, err error) {
	used, err = s.try(c, c.InOrder(), call)
	if secretRefused(err) {
		if newer := s.newer(ctx, name, c); len(newer) > 0 {
			used, err = s.try(c, newer, call)
		}
	}
	if err == nil && used.ClientSecret != c.Current {
		s.host.Log.Warn("IMS refuses the client secret that was current; another one that a rotation left or put in place was used", "config", name)
	}
	return used, err
}

// newer are the credentials of a config as it is by now that it did not have
// before.
func (s *Store) newer(ctx context.Context, name string, before *Credential) []ims.Credential {
	stored, err := s.Get(ctx, name)
	now := stored.Value
	if err != nil || now == nil || now.ClientID != before.ClientID || now.IMSURL != before.IMSURL {
		return nil
	}
	tried := before.InOrder()
	return slices.DeleteFunc(now.InOrder(), func(c ims.Credential) bool { return slices.Contains(tried, c) })
}

// try makes a call with each of the credentials until IMS accepts one. If it
// accepts none, that counts as the first one's.
func (s *Store) try(c *Credential, credentials []ims.Credential, call func(*ims.Client, ims.Credential) error) (used ims.Credential, err error) {
	client, done, err := s.clients.get(options(c, c.IMSURL))
	if err != nil {
		return ims.Credential{}, err
	}
	defer done()
	for i, credential := range credentials {
		failed := call(client, credential)
		if !secretRefused(failed) {
			return credential, failed
		}
		if i == 0 {
			used, err = credential, failed
		}
	}
	return used, err
}

// secretRefused reports whether another client secret may be accepted. Of a
// client that IMS does not know, none is.
func secretRefused(err error) bool {
	return ims.RefusedWith(err, ims.CodeInvalidClient) && !ims.ClientUnknown(err)
}
