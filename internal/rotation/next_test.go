// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// t0 is when the states below are observed.
var t0 = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// The parts of a state. Each test row names those that it is about.
type with func(*state)

func of(parts ...with) state {
	s := state{
		Name: "default", Now: t0, Goal: rotate,
		Config: &credential.Credential{
			Settings: credential.Settings{
				ClientID: "client", Type: credential.ServerToServer, ConsoleOrgID: "1", CredentialID: "2",
				RequestTimeout: 10 * time.Second, PreviousSecretTTL: time.Hour,
			},
			Secrets: credential.Secrets{Current: "a", UUID: "A", Set: t0.Add(-100 * time.Hour)},
		},
	}
	for _, part := range parts {
		part(&s)
	}
	return s
}

func to(g goal) with { return func(s *state) { s.Goal = g } }

// listed is a list of secrets made long ago, but those named with a moment.
func listed(secrets ...console.ClientSecret) with {
	return func(s *state) { s.Listing = &console.Listing{Secrets: secrets, Time: t0} }
}

func old(uuid string) console.ClientSecret {
	return console.ClientSecret{UUID: uuid, Created: t0.Add(-50 * time.Hour), LastUsed: t0.Add(-time.Minute)}
}

func made(uuid string, ago time.Duration) console.ClientSecret {
	return console.ClientSecret{UUID: uuid, Created: t0.Add(-ago)}
}

func used(s console.ClientSecret) console.ClientSecret {
	s.LastUsed = t0
	return s
}

func current(uuid string) with { return func(s *state) { s.Config.UUID = uuid } }

// setAgo says when the current secret was set.
func setAgo(ago time.Duration) with { return func(s *state) { s.Config.Set = t0.Add(-ago) } }

func pending(uuid string, ago time.Duration) with {
	return func(s *state) {
		s.Config.Pending = &credential.Secret{Value: "p", UUID: uuid, ListedBefore: []string{"A"}, Added: t0.Add(-ago), Ours: true}
	}
}

// retired is a secret that is removed in that time.
func retired(uuid string, in time.Duration) with {
	return func(s *state) {
		s.Config.Retired = append(s.Config.Retired, credential.Secret{Value: "r", UUID: uuid, RemoveAt: t0.Add(in)})
	}
}

func valueless(s *state) { s.Config.Retired[len(s.Config.Retired)-1].Value = "" }

// intended is an intent of so long ago, for a request with ten seconds' time.
func intended(ago time.Duration) with {
	return func(s *state) {
		at := t0.Add(-ago)
		in := newIntent("default", s.Config, &console.Listing{Secrets: []console.ClientSecret{old("A")}, Time: at}, at, at)
		in.id = "wal-" + ago.String()
		s.Intents = append(s.Intents, in)
	}
}

func settled(s *state) { s.Intents[len(s.Intents)-1].settled = true }

func accepted(s *state) { s.Proof = proof{Accepted: true} }

// refused is the n-th refusal, the first being first ago and the last last ago.
func refused(n int, first, last time.Duration) with {
	return func(s *state) {
		s.Proof = proof{Refusals: n, First: t0.Add(-first), Last: t0.Add(-last), Err: errors.New("invalid_client")}
	}
}

func fallback(s *state) { s.Fallback = true }
func tainted(s *state)  { s.Tainted = true }
func rotated(s *state)  { s.Rotated = true }

func removed(uuid string) with { return func(s *state) { s.Removed = append(s.Removed, uuid) } }

type row struct {
	name string
	in   state
	want Action
	uuid string
	says string // of an error
}

// The table of the package's documentation, row by row.
func TestNext(t *testing.T) {
	for part, rows := range map[string][]row{
		"intents": {
			{"none, nothing to clear up", of(to(clearUp), pending("B", 0), retired("C", 0)), Done, "", ""},
			{"no list yet", of(to(clearUp), intended(time.Minute)), Look, "", ""},
			{"brought the pending secret", of(to(clearUp), intended(time.Minute), pending("B", time.Minute)), CloseIntent, "", ""},
			{"brought the pending secret, which has no uuid", of(to(clearUp), intended(time.Minute), pending("", time.Minute), listed(old("A"), made("B", time.Minute))), Done, "", ""},
			{"and is kept for it, however old", of(to(clearUp), intended(48*time.Hour), pending("", 48*time.Hour), listed(old("A"))), Done, "", ""},
			{"a lost secret", of(to(clearUp), intended(time.Minute), listed(old("A"), made("L", time.Minute))), RemoveLost, "L", ""},
			{"a lost secret, before all else", of(intended(time.Minute), pending("P", time.Hour), accepted, retired("R", -time.Hour), listed(old("A"), made("L", time.Minute))), RemoveLost, "L", ""},
			{"one that was listed before", of(to(clearUp), intended(time.Minute), listed(made("A", time.Minute))), Done, "", ""},
			{"one that is pending", of(to(clearUp), intended(time.Minute), pending("P", time.Hour), listed(old("A"), made("P", time.Minute))), Done, "", ""},
			{"one that is retired", of(to(clearUp), intended(time.Minute), retired("R", time.Hour), listed(old("A"), made("R", time.Minute))), Done, "", ""},
			{"one that is current", of(to(clearUp), intended(time.Minute), current("B"), listed(made("B", time.Minute))), Done, "", ""},
			{"one that was used", of(to(clearUp), intended(time.Minute), listed(old("A"), used(made("F", time.Minute)))), Done, "", ""},
			{"one made just before", of(to(clearUp), intended(time.Minute), listed(old("A"), made("F", time.Minute+3*time.Second))), Done, "", ""},
			{"one made at the earliest", of(to(clearUp), intended(time.Minute), listed(old("A"), made("L", time.Minute+2*time.Second))), RemoveLost, "L", ""},
			{"one made at the latest", of(to(clearUp), intended(time.Minute), listed(old("A"), made("L", 40*time.Second))), RemoveLost, "L", ""},
			{"one made just after", of(to(clearUp), intended(time.Minute), listed(old("A"), made("F", 39*time.Second))), Done, "", ""},
			{"one of which the console does not tell when it was made", of(to(clearUp), intended(time.Minute), listed(old("A"), console.ClientSecret{UUID: "F"})), Done, "", ""},
			{"several that may be it", of(to(clearUp), intended(time.Minute), listed(made("L", time.Minute), made("M", time.Minute))), AskOperator, "", "M created at 2026-11-25T08:59:00Z"},
			{"the only one listed, and the operator has written one since", of(to(clearUp), intended(time.Minute), current(""), setAgo(time.Second), listed(made("L", time.Minute))), NameCurrent, "L", ""},
			{"one of two, and the operator has written one since", of(to(clearUp), intended(time.Minute), current(""), setAgo(time.Second), listed(old("X"), made("L", time.Minute))), AskOperator, "", "client_secret_uuid=..."},
			{"the same, but the one written has a uuid", of(to(clearUp), intended(time.Minute), current("X"), setAgo(time.Second), listed(old("X"), made("L", time.Minute))), RemoveLost, "L", ""},
			{"nothing, and it may still come", of(to(clearUp), intended(10*time.Minute), listed(old("A"))), Done, "", ""},
			{"nothing, and nothing will come", of(to(clearUp), intended(11*time.Minute), listed(old("A"))), CloseIntent, "", ""},
			{"nothing, and the request has ended", of(to(clearUp), intended(time.Second), settled, listed(old("A"))), NarrowIntent, "", ""},
			{"narrowed already", of(to(clearUp), intended(30*time.Second), settled, listed(old("A"))), Done, "", ""},
			{"one may still come, a rotation goes on", of(intended(time.Minute), listed(old("A"))), Add, "", ""},
		},
		"pending": {
			{"not tried", of(to(tidy), pending("B", time.Minute)), Prove, "", ""},
			{"not tried, in a rotation", of(pending("B", time.Minute), retired("R", -1)), Prove, "", ""},
			{"not tried, no uuid, no list", of(to(tidy), pending("", time.Minute)), Look, "", ""},
			{"not tried, the list tells", of(to(tidy), pending("", time.Minute), listed(old("A"), made("B", time.Minute))), NamePending, "B", ""},
			{"not tried, the list lags behind", of(to(tidy), pending("", time.Minute), listed(old("A"))), Prove, "", ""},
			{"not tried, by fallback", of(to(tidy), pending("B", time.Minute), fallback), Prove, "", ""},
			{"accepted", of(to(tidy), pending("B", time.Minute), accepted), Promote, "", ""},
			{"accepted, no uuid, no list", of(to(tidy), pending("", time.Minute), accepted), Look, "", ""},
			{"accepted, the list tells", of(to(tidy), pending("", time.Minute), accepted, listed(old("A"), made("B", time.Minute))), NamePending, "B", ""},
			{"accepted, the list lags behind", of(to(tidy), pending("", time.Minute), accepted, listed(old("A"))), Postpone, "", "does not list it yet"},
			{"accepted, and not listed for long", of(to(tidy), pending("", 11*time.Minute), accepted, listed(old("A"))), AskOperator, "", "is not known"},
			{"accepted, the list has two", of(to(tidy), pending("", time.Minute), accepted, listed(made("B", time.Minute), made("F", 0))), AskOperator, "", "F created at"},
			{"accepted, the intent tells", of(to(tidy), intended(time.Minute), pending("", time.Minute), accepted, listed(made("B", time.Minute), made("F", 0))), NamePending, "B", ""},
			{"accepted, listed is somebody else's only", of(to(tidy), intended(time.Minute), pending("", time.Minute), accepted, listed(old("A"), made("F", 0))), Postpone, "", "does not list it yet"},
			{"refused in the background", of(to(tidy), pending("B", time.Minute), refused(1, 0, 0)), Postpone, "", "B is not proven yet"},
			{"refused once in a rotation", of(pending("B", 0), refused(1, 0, 0)), Wait, "", ""},
			{"refused, and the pause is over", of(pending("B", 0), refused(1, time.Second, time.Second)), Prove, "", ""},
			{"refused often, and the pause is not over", of(pending("B", 0), refused(4, 15*time.Second, 7*time.Second)), Wait, "", ""},
			{"refused often, and the pause is over", of(pending("B", 0), refused(4, 15*time.Second, 8*time.Second)), Prove, "", ""},
			{"refused for half a minute", of(pending("B", 0), refused(5, 23*time.Second, 0)), Postpone, "", "invalid_client"},
			{"refused for long, no list", of(to(tidy), pending("B", 11*time.Minute), refused(1, 0, 0)), Look, "", ""},
			{"refused for long, but listed", of(to(tidy), pending("B", 11*time.Minute), refused(1, 0, 0), listed(old("A"), made("B", 11*time.Minute))), Postpone, "", "not proven yet"},
			{"refused for long, and not listed", of(to(tidy), pending("B", 11*time.Minute), refused(1, 0, 0), listed(old("A"))), GiveUp, "", ""},
			{"refused, and not listed yet", of(to(tidy), pending("B", 9*time.Minute), refused(1, 0, 0), listed(old("A"))), Postpone, "", "not proven yet"},
			{"refused for an hour", of(to(tidy), pending("B", 61*time.Minute), refused(1, 0, 0)), GiveUp, "B", ""},
			{"refused for an hour, in a rotation", of(pending("B", 61*time.Minute), refused(1, 0, 0)), GiveUp, "B", ""},
			{"refused for an hour, no uuid, no list", of(to(tidy), pending("", 61*time.Minute), refused(1, 0, 0)), Look, "", ""},
			{"refused for an hour, the list tells", of(to(tidy), pending("", 61*time.Minute), refused(1, 0, 0), listed(old("A"), made("B", 61*time.Minute))), GiveUp, "B", ""},
			{"refused for an hour, and somebody removed it", of(to(tidy), pending("", 61*time.Minute), refused(1, 0, 0), listed(old("A"))), GiveUp, "", ""},
			{"refused for an hour, listed is one that was used", of(to(tidy), pending("", 61*time.Minute), refused(1, 0, 0), listed(old("A"), used(made("F", time.Minute)))), GiveUp, "", ""},
			{"refused for an hour, the list has two", of(to(tidy), pending("", 61*time.Minute), refused(1, 0, 0), listed(made("B", 61*time.Minute), made("F", 0))), AskOperator, "", "is not known"},
		},
		"a new secret": {
			{"not wanted", of(to(tidy)), Done, "", ""},
			{"there already", of(rotated), Done, "", ""},
			{"no list", of(), Look, "", ""},
			{"room", of(listed(old("A"))), Add, "", ""},
			{"room, although one is retired", of(listed(old("A")), retired("gone", -1)), Add, "", ""},
			{"by fallback", of(fallback, listed(old("A"))), AskOperator, "", "client_secret=@secret.txt"},
			{"on a tainted mount", of(tainted, listed(old("A"))), AskOperator, "", "removed or moved"},
			{"uuid not known, one listed", of(current(""), listed(old("A"))), NameCurrent, "A", ""},
			{"uuid not known, the other one retired", of(current(""), retired("R", 1), listed(old("R"), old("A"))), NameCurrent, "A", ""},
			{"uuid not known, two listed", of(current(""), listed(old("A"), old("F"))), AskOperator, "", "vault write <mount>/config/default client_secret_uuid=..."},
			{"uuid not known, none listed", of(current(""), listed()), AskOperator, "", "lists 0 client secrets"},
			{"not listed", of(listed(old("F"))), AskOperator, "", "vault write <mount>/config/default client_secret_uuid=F"},
			{"not listed, two listed", of(listed(old("F"), old("G"))), AskOperator, "", "client_secret_uuid=..."},
			{"no room: somebody else's", of(listed(old("A"), old("F"))), AskOperator, "", "(F created at 2026-11-23T07:00:00Z): if nobody needs it, remove it in the Developer Console. Nothing was changed."},
			{"no room: one retired", of(listed(old("R"), old("A")), retired("R", time.Hour)), MakeRoom, "R", ""},
			{"no room: one retired is gone, the other is there", of(listed(old("R"), old("A")), retired("gone", time.Hour), retired("R", time.Hour)), MakeRoom, "R", ""},
			{"no room: the list lags behind a removal", of(listed(old("R"), old("A")), removed("R")), Postpone, "", "still lists the client secret R"},
			{"no room: one of two that look retired is current", of(listed(old("A"), old("R")), retired("A", time.Hour), retired("R", time.Hour)), Keep, "A", ""},
		},
		"retired": {
			{"none due", of(to(tidy), retired("R", 1)), Done, "", ""},
			{"due, no list", of(to(tidy), retired("R", 0)), Look, "", ""},
			{"due", of(to(tidy), retired("R", 0), listed(old("A"), old("R"))), RemoveRetired, "R", ""},
			{"due, gone already", of(to(tidy), retired("R", 0), listed(old("A"))), RemoveRetired, "R", ""},
			{"due after a rotation", of(rotated, retired("R", 0), listed(old("A"), old("R"))), RemoveRetired, "R", ""},
			{"due by fallback", of(to(tidy), retired("R", 0), fallback, listed(old("A"), old("R"))), AskOperator, "", "No secret was removed"},
			{"due, but current", of(to(tidy), retired("A", 0), listed(old("A"), old("R"))), Keep, "A", ""},
			{"due, value and the current one's uuid not known", of(to(tidy), current(""), retired("R", 0), valueless, listed(old("A"), old("R"))), AskOperator, "", "client_secret_uuid=..."},
			{"due, the current one's uuid not known", of(to(tidy), current(""), retired("R", 0), listed(old("A"), old("R"))), RemoveRetired, "R", ""},
			{"due, nothing is removed to clear up", of(to(clearUp), retired("R", 0)), Done, "", ""},
		},
	} {
		for _, r := range rows {
			t.Run(part+"/"+r.name, func(t *testing.T) {
				got := next(r.in)
				require.Equal(t, r.want, got.Action, "%v", got.Err)
				require.Equal(t, r.uuid, got.UUID)
				if r.says == "" {
					require.NoError(t, got.Err)
				} else {
					require.ErrorContains(t, got.Err, r.says)
				}
			})
		}
	}
}

// Whatever the state, nothing is removed that the engine did not get or find
// out to be its own, and nothing but a lost or refused secret while IMS refuses
// the current one.
func TestNextNeverRemovesWhatIsNotOurs(t *testing.T) {
	lists := []with{func(*state) {}, listed(old("A")), listed(old("F")), listed(old("A"), old("F")), listed(old("A"), made("F", 0)), listed(old("A"), used(made("F", time.Minute))), listed(made("F", 30*time.Minute), made("G", 2*time.Hour))}
	currents := []with{current("A"), current(""), current("R")}
	pendings := []with{func(*state) {}, pending("P", 0), pending("P", 2*time.Hour), pending("", 0)}
	retired := []with{func(*state) {}, retired("R", time.Hour), retired("R", -time.Hour)}
	intents := []with{func(*state) {}, intended(time.Minute), intended(time.Hour)}
	proofs := []with{func(*state) {}, accepted, refused(1, 0, 0)}
	fallbacks := []with{func(*state) {}, fallback}
	tried := 0
	for _, l := range lists {
		for _, c := range currents {
			for _, p := range pendings {
				for _, r := range retired {
					for _, i := range intents {
						for _, pr := range proofs {
							for _, f := range fallbacks {
								for _, g := range []goal{clearUp, tidy, rotate} {
									tried++
									s := of(to(g), l, c, p, r, i, pr, f)
									requireOwn(t, s, next(s))
								}
							}
						}
					}
				}
			}
		}
	}
	require.Greater(t, tried, 4000)
}

func requireOwn(t *testing.T, s state, got step) {
	t.Helper()
	switch got.Action {
	case RemoveLost, MakeRoom, RemoveRetired, GiveUp:
		require.NotContains(t, []string{"F", "G"}, got.UUID, "%+v", s)
		if got.UUID != "" {
			require.NotEqual(t, s.Config.UUID, got.UUID, "the current secret")
		}
	}
	if s.Fallback {
		require.NotContains(t, []Action{MakeRoom, RemoveRetired, Add}, got.Action)
	}
	if got.Action == AskOperator {
		var asked *advice.Error
		require.ErrorAs(t, got.Err, &asked)
	}
	if s.Goal == clearUp {
		require.Contains(t, []Action{Look, RemoveLost, CloseIntent, NarrowIntent, NameCurrent, AskOperator, Done}, got.Action)
	}
}
