// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"sync"
)

// The key has one name in access tokens and another in the rest, as Adobe's
// have.
const (
	accessKeyID = "ims_na1-key-at-1"
	otherKeyID  = "ims_na1-key-1"
)

// signingKey is generated once in a process: it takes longer than most tests.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("emulator: generating a key: %v", err))
	}
	return key
})

// sign makes a JWT. tokenType is the header's itt, the type in short; "" leaves
// that and the certificate's name out.
func (s *Server) sign(keyID, tokenType string, claims map[string]any) string {
	header := map[string]any{"alg": "RS256", "kid": keyID}
	if tokenType != "" {
		header["itt"] = tokenType
		header["x5u"] = keyID + ".cer" // a bare file name, against the letter of RFC 7515
	}
	signed := encodeSegment(mustMarshal(header)) + "." + encodeSegment(mustMarshal(claims))
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	if err != nil {
		panic(fmt.Sprintf("emulator: signing: %v", err)) // the key is too short for the digest, which it is not
	}
	return signed + "." + encodeSegment(signature)
}

func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	jwk := func(keyID string) map[string]string {
		return map[string]string{
			"kty": "RSA",
			"alg": "RS256",
			"use": "sig",
			"kid": keyID,
			"n":   encodeSegment(s.key.N.Bytes()),
			"e":   encodeSegment(big.NewInt(int64(s.key.E)).Bytes()),
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []any{jwk(accessKeyID), jwk(otherKeyID)}})
}

func encodeSegment(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(b)
}
