// SPDX-License-Identifier: MPL-2.0

// Package adobehttp is the HTTP that every client of an Adobe service here
// shares. It decides in one place whether an answer is Adobe's (judge.go), and
// in one place what of a server's words may be shown (quote.go).
//
// A request passes through these, from the outside in: the judge, which lets
// only good answers out; the retries (retry.go); and the attempt (attempt.go),
// which waits for a turn at the server (turns.go), asks whether it may still
// proceed, sends the request over a shared transport (transports.go), and reads
// the whole answer.
//
// It knows nothing of Vault, of tokens or of client secrets: which endpoint a
// request goes to, and what a good answer holds, is the caller's.
//
// Pool.mu guards all that clients share: the transports and how many use each,
// the turns of each server and who waits for one, and the throttles. It is
// never held across a network call, a wait or a callback. The only other lock,
// connections.mu, guards which connections are open; the two are never held at
// once. turns_decide.go and throttle.go are the decisions behind it: they take
// no context, so they cannot block.
package adobehttp

import "github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"

// Secret is a string that prints as a placeholder, whatever the verb.
type Secret = secret.Secret
