// SPDX-License-Identifier: MPL-2.0

// Package credential is one credential of the Developer Console: its settings,
// its client secrets in the order in which they are tried, the console's files,
// how IMS and the console are reached with it, and proving it.
//
// It knows nothing of roles, tokens on record, persons or requests: the root
// package reads the fields of a request into Settings and Secrets, and decides
// what a token is for.
//
// Settings, Secrets, Credential and Import are pure: they decide, and ask
// nobody. Store is the rest: config/<name> in storage and memory, and the
// clients of Adobe's services.
//
// # Locks
//
// Store.Lock is the lock of one config by its exact name, taken with the
// request's context. Whoever writes a config holds it from reading the config
// to storing the next: no write of a config is made without it. It is not held
// while Adobe is asked. So who has to prove a change first does it without the
// lock, then takes it, reads the config again, and if that is another by then,
// starts over.
//
// clients.mu guards which configs use which client. It is taken last, and never
// held across storage, the network or the making of a client.
package credential
