// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

func grantOf(token string) Grant { return Grant{RefreshToken: secret.Secret(token)} }

// record writes an authorization as its refresh tokens: what lives, then what is
// to be revoked.
func record(a *Authorization) (living string, owed []string) {
	if a.Living() {
		living = string(a.RefreshToken)
	}
	for _, g := range a.owed() {
		owed = append(owed, string(g.RefreshToken))
	}
	return living, owed
}

func recorded(living string, condemned string, unrevoked ...string) *Authorization {
	a := &Authorization{Grant: grantOf(living + condemned), Condemned: condemned != ""}
	for _, token := range unrevoked {
		a.Unrevoked = append(a.Unrevoked, grantOf(token))
	}
	return a
}

func TestRecord(t *testing.T) {
	for name, test := range map[string]struct {
		got    *Authorization
		living string
		owed   []string
	}{
		"condemned":                  {recorded("x", "").condemned(), "", []string{"x"}},
		"condemned twice":            {recorded("x", "", "w").condemned().condemned(), "", []string{"w", "x"}},
		"nothing condemned":          {(*Authorization)(nil).condemned(), "", nil},
		"succeeded":                  {recorded("x", "", "w").after(successor{grantOf("y"), "x"}), "y", []string{"w"}},
		"succeeded by itself":        {recorded("x", "").after(successor{grantOf("x"), "x"}), "x", nil},
		"successor of what is gone":  {(*Authorization)(nil).after(successor{grantOf("y"), "x"}), "", []string{"y"}},
		"successor of a former":      {recorded("z", "", "x").after(successor{grantOf("y"), "x"}), "z", []string{"x", "y"}},
		"successor of a condemned":   {recorded("", "x").after(successor{grantOf("y"), "x"}), "", []string{"y", "x"}},
		"successor that lives":       {recorded("y", "").after(successor{grantOf("y"), "x"}), "y", nil},
		"first":                      {(*Authorization)(nil).replacedBy(grantOf("y"), ""), "y", nil},
		"replaced":                   {recorded("x", "", "w").replacedBy(grantOf("y"), ""), "y", []string{"w", "x"}},
		"replaced by its successor":  {recorded("x", "").replacedBy(grantOf("y"), "x"), "y", nil},
		"replaced by itself":         {recorded("x", "").replacedBy(grantOf("x"), ""), "x", nil},
		"condemned one replaced":     {recorded("", "x", "w").replacedBy(grantOf("y"), ""), "y", []string{"w", "x"}},
		"owing":                      {recorded("x", "").owing(grantOf("y")), "x", []string{"y"}},
		"owing twice":                {recorded("x", "").owing(grantOf("y")).owing(grantOf("y")), "x", []string{"y"}},
		"owing with nothing else":    {(*Authorization)(nil).owing(grantOf("y")), "", []string{"y"}},
		"owing what lives":           {recorded("x", "").owing(grantOf("x")), "", []string{"x"}},
		"ended":                      {recorded("x", "", "v", "w").without([]secret.Secret{"w"}), "x", []string{"v"}},
		"ended condemned":            {recorded("", "x", "v", "w").without([]secret.Secret{"x"}), "", []string{"w", "v"}},
		"all ended":                  {recorded("", "x", "w").without([]secret.Secret{"x", "w"}), "", nil},
		"ended what came to life":    {recorded("x", "").without([]secret.Secret{"x"}), "x", nil},
		"ended where nothing is":     {(*Authorization)(nil).without([]secret.Secret{"x"}), "", nil},
		"ended something else still": {recorded("", "x").without([]secret.Secret{"w"}), "", []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			living, owed := record(test.got)
			require.Equal(t, test.living, living)
			require.Equal(t, test.owed, owed)
		})
	}
	require.Nil(t, recorded("", "x").without([]secret.Secret{"x"}), "nothing is left")
}

// What memory knows counts before what storage has, in whatever order it came
// about.
func TestMemoryOverStorage(t *testing.T) {
	next := &successor{grantOf("y"), "x"}
	for name, test := range map[string]struct {
		memory memory
		stored *Authorization
		living string
		owed   []string
	}{
		"nothing known":                    {memory{}, recorded("x", ""), "x", nil},
		"condemned":                        {memory{condemned: 1}, recorded("x", ""), "", []string{"x"}},
		"condemned, nothing stored":        {memory{condemned: 1}, nil, "", nil},
		"successor":                        {memory{successors: []*successor{next}}, recorded("x", ""), "y", nil},
		"successor, and condemned":         {memory{condemned: 1, successors: []*successor{next}}, recorded("x", ""), "", []string{"y", "x"}},
		"successor that storage shows":     {memory{successors: []*successor{next}}, recorded("y", ""), "y", nil},
		"rejected, written all the same":   {memory{owed: []Grant{grantOf("y")}}, recorded("y", ""), "", []string{"y"}},
		"rejected, and what was before it": {memory{restored: recorded("x", ""), owed: []Grant{grantOf("y")}}, recorded("y", ""), "x", []string{"y"}},
	} {
		t.Run(name, func(t *testing.T) {
			living, owed := record(test.memory.over(test.stored))
			require.Equal(t, test.living, living)
			require.Equal(t, test.owed, owed)
		})
	}
}

func TestNothingIsChangedInPlace(t *testing.T) {
	a := recorded("x", "", "v", "w")
	want := recorded("x", "", "v", "w")
	a.condemned()
	a.owing(grantOf("y"))
	a.without([]secret.Secret{"v"})
	a.replacedBy(grantOf("v"), "")
	a.after(successor{grantOf("y"), "x"})
	a.spending(time.Now())
	require.Equal(t, want, a)
}

func TestOpenSignIns(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var o open
	for i := range maxSignIns {
		var ended []string
		o, ended = o.with(openSignIn{Hash: numbered("s", i), Expires: now.Add(signInLife)}, now)
		require.Empty(t, ended)
	}
	o, ended := o.with(openSignIn{Hash: "new", Expires: now.Add(2 * signInLife)}, now)
	require.Equal(t, []string{"s0"}, ended, "the oldest gives way")
	require.Len(t, o.SignIns, maxSignIns)
	require.False(t, o.has("s0"))
	require.True(t, o.has("new"))
	require.False(t, o.without("new").has("new"))

	o, ended = o.with(openSignIn{Hash: "newer", Expires: now.Add(3 * signInLife)}, now.Add(signInLife))
	require.Len(t, ended, maxSignIns-1, "their time is over")
	require.Len(t, o.SignIns, 2)
	require.False(t, o.stale(now.Add(2*signInLife)))
	require.True(t, o.stale(now.Add(3*signInLife)))
}

func TestRevokeRetry(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var r revokeLater
	var delays []time.Duration
	for range 9 {
		r = r.next(now)
		require.Equal(t, now.Add(r.delay), r.after)
		delays = append(delays, r.delay)
	}
	require.Equal(t, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}, func() (minutes []time.Duration) {
		for _, d := range delays {
			minutes = append(minutes, d/time.Minute)
		}
		return minutes
	}())
}

func TestGrantsAreNotShown(t *testing.T) {
	a := recorded("hidden-refresh-token", "", "hidden-former-token")
	in := signIn{Verifier: "hidden-verifier"}
	c := consent{Spent: "hidden-refresh-token"}
	u := use{Token: "hidden-refresh-token"}
	n := successor{Grant: a.Grant, Of: "hidden-refresh-token"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{a, *a, a.Grant, in, &in, c, u, n} {
			require.NotContains(t, fmt.Sprintf(verb, value), "hidden", "%s %T", verb, value)
		}
	}
}

func TestRefusedGrants(t *testing.T) {
	for _, test := range []struct {
		kind    ims.Kind
		code    string
		refused bool
	}{
		{ims.Refused, "access_denied", true},
		{ims.Refused, "invalid_grant", true},
		{ims.Refused, ims.CodeInvalidClient, false},
		{ims.Refused, ims.CodeUnauthorizedClient, false},
		{ims.Refused, ims.CodeInvalidScope, false},
		{ims.Refused, "", false},
		{ims.Refused, "403", false},
		{ims.Malformed, "", false},
		{ims.Unavailable, "", false},
		{ims.Throttled, "", false},
	} {
		err := fmt.Errorf("wrapped: %w", &ims.Error{Kind: test.kind, Code: test.code})
		require.Equal(t, test.refused, isRefusedGrant(err), "%s %s", test.kind, test.code)
	}
	require.False(t, isRefusedGrant(nil))
}
