// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLifeOfATokenOf24Hours(t *testing.T) {
	token := testToken("a", testSpec(1), start, day)
	require.Equal(t, start.Add(12*time.Hour), token.servedUntil(0))
	require.Equal(t, start.Add(12*time.Hour), token.servedUntil(12*time.Hour))
	require.Equal(t, start.Add(6*time.Hour), token.servedUntil(18*time.Hour))
	require.Equal(t, start.Add(day/10), token.servedUntil(48*time.Hour), "nine tenths at most")
	before := token.servedUntil(0).Sub(token.refreshAt(0))
	require.GreaterOrEqual(t, before, 7*time.Minute+30*time.Second)
	require.LessOrEqual(t, before, 15*time.Minute)
	require.Equal(t, start.Add(12*time.Hour-22*time.Minute-30*time.Second), token.forwardedFrom(0))
}

// Whatever the life and min_ttl, the moments of a life come in their order, and no
// read mints another token at once.
func TestMomentsOfALifeAreInOrder(t *testing.T) {
	lives := []time.Duration{
		2 * time.Second, 3 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 23*time.Hour + 59*time.Minute, day, 7 * day, 30 * day,
	}
	for _, life := range lives {
		for _, minTTL := range []time.Duration{0, time.Second, life / 3, life / 2, life * 3 / 4, life * 9 / 10, life, 2 * life, 365 * day} {
			for i := range 20 {
				token := testToken(fmt.Sprint("token", i), testSpec(1), start, life)
				name := fmt.Sprint(life, " ", minTTL, " ", i)
				forwarded, refreshed, until := token.forwardedFrom(minTTL), token.refreshAt(minTTL), token.servedUntil(minTTL)
				require.True(t, token.Issued.Before(forwarded), name)
				require.False(t, refreshed.Before(forwarded), name)
				require.True(t, refreshed.Before(until), name)
				require.True(t, until.Before(token.Expires), name)
				require.GreaterOrEqual(t, token.Remaining(until), life/2, name)
				require.GreaterOrEqual(t, token.Remaining(until), min(minTTL, life*9/10), name)
				served := until.Sub(token.Issued)
				require.GreaterOrEqual(t, served, life/10, name)
				lead := until.Sub(refreshed)
				require.LessOrEqual(t, lead, min(served/5, maxLead), name)
				require.GreaterOrEqual(t, lead, min(served/10, maxLead/2), name)
			}
		}
	}
}

func TestJitterSpreadsAndStays(t *testing.T) {
	below := 0
	for i := range 1000 {
		token := testToken(fmt.Sprintf("eyJhbGciOiJSUzI1NiJ9.token.%d", i), testSpec(1), start, day)
		jitter := token.jitter()
		require.GreaterOrEqual(t, jitter, 0.0)
		require.LessOrEqual(t, jitter, 1.0)
		again := *token
		again.Condemned = true
		require.Equal(t, jitter, again.jitter())
		if jitter < 0.5 {
			below++
		}
	}
	require.InDelta(t, 500, below, 100)
}

func TestAlive(t *testing.T) {
	token := testToken("a", testSpec(1), start, day)
	require.True(t, token.alive(start.Add(day-time.Second)))
	require.False(t, token.alive(start.Add(day-time.Second+1)))
	require.False(t, token.alive(start.Add(day)))
}
