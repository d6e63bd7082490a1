// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestComeBack(t *testing.T) {
	const half = 12 * time.Hour
	for _, row := range []struct {
		name   string
		after  time.Duration // since the token was minted
		retry  time.Duration // since then too; 0 for no failure
		jitter float64
		want   time.Duration
	}{
		{"when a newer one takes its place", time.Hour, 0, 1, 11 * time.Hour},
		{"the same after a failure", time.Hour, time.Hour + time.Second, 1, 11 * time.Hour},
		{"shortly before: not at once", half - time.Second, 0, 1, minComeBack},
		{"past its turn: soon", half, 0, 0, minComeBack},
		{"not all at once", half, 0, 1, 2 * minComeBack},
		{"not before the next attempt", half, half + time.Minute, 0, time.Minute},
		{"nor all at once then", half, half + time.Minute, 0.5, 90 * time.Second},
		{"the next attempt is over", half, half - time.Minute, 0, minComeBack},
		{"half of what is left at most", day - 10*time.Minute, day - 2*time.Minute, 1, 5 * time.Minute},
		{"never 2 seconds while it lives longer", day - 4*time.Second, day, 1, minComeBack},
		{"the token's end at the latest", day - 2*time.Second, day, 1, 2 * time.Second},
	} {
		token := testToken("a", testSpec(1), start, day)
		a := Answer{Token: token, Until: token.servedUntil(0)}
		if row.retry > 0 {
			a.Failure = &Failure{RetryAt: start.Add(row.retry)}
		}
		require.Equal(t, row.want, a.ComeBack(start.Add(row.after), row.jitter), row.name)
	}
}
