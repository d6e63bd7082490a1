// SPDX-License-Identifier: MPL-2.0

// Package authorization is what a person granted to a role: signing in, the
// refresh token, and its end. It is a tokens.Minter.
//
// It knows nothing of requests, of leases, or of what a read of a role gets: the
// token store asks it for tokens, and is given the access tokens that came along
// with an authorization.
//
// # What is stored
//
// authorization/<role> holds the refresh token of a role, and the refresh tokens
// that IMS still has to be asked to revoke. state/<hash of a state> holds a
// sign-in under way, and state/roles/<role> which of them are a role's.
//
// A refresh token is good for one use. Storage is therefore proven to take a
// write before one is sent to IMS, and its successor is stored before anything
// else is done with the answer.
//
// # What guards what
//
//   - Service.mu guards what memory knows and storage may not (memory). It is
//     never held across storage or a wait.
//   - saving, by role: one change of authorization/<role> at a time. It is held
//     across storage only.
//   - uses, by refresh token: each is used once at a time. It is held while IMS is
//     asked.
//   - signing, by role: one change of the role's sign-ins at a time. It is held
//     across storage only.
//
// They are taken in the order uses, saving, mu; signing stands alone.
//
// Condemning waits for nobody who asks IMS: it takes effect in memory first, then
// in storage. Whoever asked IMS looks again when the answer is there, with saving
// held: if the authorization was condemned, revoked or replaced meanwhile, what
// IMS granted is put on record as to be revoked, and its access token is handed
// to nobody.
package authorization
