// SPDX-License-Identifier: MPL-2.0

// Package rotation replaces the client secret of a credential through Adobe's
// Developer Console, and puts in order what an interruption left.
//
// It knows credentials and the console. It knows nothing of tokens, roles and
// requests.
//
// # One loop
//
// A rotation by hand (Rotate), the periodic work (Tick) and Vault's rollback of
// an entry in the WAL (Rollback) are all runs of one loop: observe what is
// stored, what is on record and what the console lists; let next decide the
// step; take it; and look again. next is pure. A run that dies leaves a state
// from which the next run goes on, whoever begins it.
//
// There is at most one run of a config at a time, in a goroutine of its own: it
// ends with the mount or after five minutes, not with whoever asked for it.
//
// # What a run promises
//
// Whatever dies wherever, a secret that works is stored, none that this engine
// added is left at Adobe for good, and none that somebody else added is
// removed.
//
//   - Before a secret is added, the intent to do so is put on record in the
//     WAL. The request is sent once. A secret whose value was lost on the way
//     is told from others by not having been listed before, by the moment of
//     its creation on Adobe's clock, and by never having been used. It is
//     removed, never used.
//   - The new secret is stored beside the current one, and takes its place
//     only after IMS has accepted it. The one before works on for
//     previous_secret_ttl.
//   - No retired secret is removed while IMS refuses the current one.
//   - What is removed is named by its uuid, which the engine got with the
//     secret or found out by elimination. Where that is not certain, the
//     operator is asked.
//   - The operator's writes count. No lock is held while Adobe is asked: each
//     step that stores takes the config's lock, reads the config again, and
//     begins anew (ErrChanged) if it has another credential, server or secret
//     by now. The same is asked before a secret is added or removed, when the
//     request's turn has come. A secret that was added for what the config was
//     before is removed.
//
// # Which step when
//
// The first row that fits counts. The parts are gone through in order; a run
// for clearUp has the first only, and one for tidy has no third. Every part but
// the second begins with Look if it needs the console's list and has none.
//
//	Intents on record, each:                           | step
//	it brought the pending secret, whose uuid is known | CloseIntent
//	it brought the pending secret, uuid not known      | (leave it)
//	several listed secrets could be its effect         | AskOperator
//	one, but it could be what the operator wrote since | NameCurrent, AskOperator
//	one listed secret is its effect                    | RemoveLost
//	none, and nothing can come of it any more          | CloseIntent
//	none, and the request has ended in this run        | NarrowIntent
//	none                                               | (leave it)
//
//	A pending secret:                                  | step
//	IMS accepted it, uuid known                        | Promote
//	IMS accepted it, the list tells its uuid           | NamePending
//	IMS accepted it, not listed within ten minutes yet | Postpone
//	IMS accepted it, the list does not tell            | AskOperator
//	nobody has tried in this run, the list tells       | NamePending
//	nobody has tried in this run                       | Prove
//	refused, and older than an hour                    | GiveUp, AskOperator
//	refused, older than ten minutes, not listed        | GiveUp
//	refused, a rotation, within 30 seconds             | Wait, Prove
//	refused                                            | Postpone
//
//	A new secret is wanted, and none is pending:       | step
//	IMS refuses the current secret, another one works  | AskOperator
//	the mount is being removed or moved                | AskOperator
//	the current secret's uuid is not known             | NameCurrent, AskOperator
//	the current secret is not listed                   | AskOperator
//	fewer than two secrets are listed                  | Add
//	two, and this run has removed one of them          | Postpone
//	two, and the current one counts as retired         | Keep
//	two, and one of them is retired                    | MakeRoom
//	two                                                | AskOperator
//
//	Retired secrets are due for removal, the first:    | step
//	it is the current one                              | Keep
//	IMS refuses the current secret, another one works  | AskOperator
//	it may be the current one: neither uuid nor value  | AskOperator
//	otherwise                                          | RemoveRetired
//
//	Nothing of all this                                | Done
//
// After Promote, a run for rotate goes on as one for tidy.
//
// # Locks
//
// runs.mu is held for looking up and noting runs only. The config's lock of
// credential.Store is held across storage only, and taken with nothing else
// held.
package rotation
