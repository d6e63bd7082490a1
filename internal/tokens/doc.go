// SPDX-License-Identifier: MPL-2.0

// Package tokens decides what a read of a role gets, mints once for all its
// readers, renews ahead of time, and ends tokens.
//
// It knows neither credentials nor persons: a Minter obtains tokens, an Ender ends
// them, and a Lookup tells what a role is now. It knows nothing of leases and
// answers either.
//
// # The life of a token
//
//	         begin                 land, saved            due, in use
//	(none) --------> being minted ------------> served --------------> being replaced
//	                      |                        |                        |
//	                      | role changed,          | kill, deletion         | the next one
//	                      | killed or deleted      |                        | is served
//	                      v                        v                        v
//	                  condemned <------------------+            outstanding until it expires
//	                      |
//	                      | IMS says that it is dead
//	                      v
//	                   (none)
//
// A token that was minted is on the role's record until it has expired or is known
// to be dead. None is handed out before it is on record, and none that is
// condemned.
//
// # Decisions and effects
//
// What is known of a role is a state: plain data, whose methods take no context
// and so cannot block. State.decide says what becomes of a read (decide.go), and
// Service.act does it (read.go). A mint under way is a call, for all readers of a
// shared role (call.go), or a single, for one reader of an exclusive role
// (single.go). What a call obtains goes through Service.land, the only door onto the
// record (land.go); so does a single's that nobody takes, as condemned.
//
// # The order of events
//
// Every write of a role or config, every kill and every deletion has a number from
// one entry.Order. A reader whose Spec is older than what the state has seen looks
// again. A mint remembers the epoch it began in, the number of the last kill or
// deletion, and what comes back in another epoch goes on record condemned. So
// nobody waits for a mint to end, and no late one is handed out.
//
// # Locks
//
// In this order: Service.loading (by role, while its record is first read),
// roleState.saving (while the record is written), roleState.mu (the state). Mu is
// never held across a call that takes a context. No lock is held across the
// network.
package tokens
