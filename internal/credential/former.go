// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// maxFormer is how many secrets are recognised after their removal.
const maxFormer = 10

// Former is a secret that a rotation replaced and that was removed at Adobe
// since. Its value is not kept, only what recognises it: a tool that describes
// a config may write the first secret again and again.
type Former struct {
	Salt    string    `json:"salt"`
	Hash    string    `json:"hash"`    // SHA-256 of salt and value, in hex
	Rotated time.Time `json:"rotated"` // when a rotation put another in its place
}

// withFormer adds a secret that is removed, if a rotation retired it.
func withFormer(former []Former, removed Secret) []Former {
	if removed.Rotated.IsZero() || removed.Value == "" {
		return former
	}
	salt := rand.Text()
	all := append(slices.Clone(former), Former{Salt: salt, Hash: saltedHash(salt, removed.Value), Rotated: removed.Rotated})
	return all[max(len(all)-maxFormer, 0):]
}

func saltedHash(salt string, value secret.Secret) string {
	sum := sha256.Sum256([]byte(salt + string(value)))
	return hex.EncodeToString(sum[:])
}

func (f Former) is(value secret.Secret) bool {
	return subtle.ConstantTimeCompare([]byte(f.Hash), []byte(saltedHash(f.Salt, value))) == 1
}

// Recognises reports whether a secret is one that a rotation replaced, and
// when.
func (s Secrets) Recognises(value secret.Secret) (when time.Time, ok bool) {
	for _, retired := range s.Retired {
		if retired.Value == value && value != "" && !retired.Rotated.IsZero() {
			return retired.Rotated, true
		}
	}
	for _, former := range s.Former {
		if former.is(value) {
			return former.Rotated, true
		}
	}
	return time.Time{}, false
}
