// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoffGrows(t *testing.T) {
	for count, longest := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 16 * time.Second, 6: 32 * time.Second, 7: time.Minute, 8: time.Minute, 1000: time.Minute,
	} {
		seen := map[time.Duration]bool{}
		for range 200 {
			wait := backoff(count, errRefused)
			require.GreaterOrEqual(t, wait, max(time.Second, longest/2), count)
			require.LessOrEqual(t, wait, longest, count)
			seen[wait] = true
		}
		require.True(t, count == 1 || len(seen) > 100, "jitter")
	}
}

func TestBackoffThatIMSAsksFor(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		time.Millisecond:  time.Second,
		100 * time.Second: 100 * time.Second,
		time.Hour:         time.Hour,
		100 * day:         time.Hour,
	} {
		require.Equal(t, want, backoff(7, fmt.Errorf("wrapped: %w", throttled{asked})))
	}
	for _, none := range []time.Duration{0, -time.Second} {
		require.Zero(t, askedFor(throttled{none}))
		require.Equal(t, time.Second, backoff(1, throttled{none}))
	}
}

func TestFailuresInARow(t *testing.T) {
	spec := testSpec(1)
	var f *Failure
	f = f.next(errRefused, spec, start, start.Add(time.Second))
	require.Equal(t, 1, f.Count)
	require.Equal(t, start.Add(2*time.Second), f.RetryAt)
	require.True(t, f.backsOff(start.Add(2*time.Second-1)))
	require.False(t, f.backsOff(start.Add(2*time.Second)))

	together := f.next(errRefused, spec, start, start.Add(2*time.Second))
	require.Equal(t, 1, together.Count, "begun before the first had failed")
	require.Equal(t, 1, f.Count, "readers hold the first")
	f = f.next(errRefused, spec, start.Add(3*time.Second), start.Add(4*time.Second))
	require.Equal(t, 2, f.Count)

	written := testSpec(2)
	require.Nil(t, f.of(written))
	require.Same(t, f, f.of(spec))
	require.Equal(t, 1, f.next(errRefused, written, start.Add(5*time.Second), start.Add(5*time.Second)).Count)
}

// While a token lives there is always another attempt before it dies.
func TestAttemptBeforeTheTokenDies(t *testing.T) {
	for _, row := range []struct {
		name    string
		err     error
		retry   time.Duration
		expires time.Duration
		want    time.Duration
	}{
		{"long before", errRefused, time.Minute, time.Hour, time.Minute},
		{"half of what is left", errRefused, time.Minute, 40 * time.Second, 20 * time.Second},
		{"not more often than every second", errRefused, time.Minute, time.Second, time.Second},
		{"dead already", errRefused, time.Minute, 0, time.Minute},
		{"IMS asked to be left alone", throttled{time.Minute}, time.Minute, 40 * time.Second, time.Minute},
	} {
		f := &Failure{Err: row.err, RetryAt: start.Add(row.retry)}
		f.before(start.Add(row.expires), start)
		require.Equal(t, start.Add(row.want), f.RetryAt, row.name)
	}
}

func TestErrorsOfReaders(t *testing.T) {
	cause := errors.New("IMS token request failed: 503")
	mint := &MintError{Failure: &Failure{Err: cause}}
	require.Equal(t, cause.Error(), mint.Error())
	require.ErrorIs(t, mint, cause)
	require.Contains(t, (&FullError{Role: role, Count: 250}).Error(), "250 outstanding tokens")
	require.Contains(t, (&CrowdError{Role: role, Count: 128}).Error(), "128 readers")
	kill := &KillError{Role: role, Failed: []FailedEnd{{Err: cause}}, Of: 3}
	require.Equal(t, `of 3 outstanding tokens of role "firefly", 1 could not be invalidated`, kill.Error())
	require.ErrorIs(t, kill, cause)
}
