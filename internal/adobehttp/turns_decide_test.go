// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// take enters n requests of a share, and returns how many got a turn at once.
func take(t *testing.T, l *lane, name string, n int) (turns int, waiters []*waiter) {
	t.Helper()
	for range n {
		w, full := l.enter(name)
		require.Empty(t, full)
		if w == nil {
			turns++
		} else {
			waiters = append(waiters, w)
		}
	}
	return turns, waiters
}

func came(w *waiter) bool {
	select {
	case throttled := <-w.result:
		return throttled == nil
	default:
		return false
	}
}

func TestSharesOfALane(t *testing.T) {
	for name, test := range map[string]struct {
		turns int
		want  []int // of the first share, the next one and so on, each wanting all
	}{
		"asking": {askingTurns, []int{6, 3, 2, 1, 0}},
		"ending": {endingTurns, []int{2, 1, 1, 0}},
		"one":    {1, []int{1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(test.turns, 1000)
			for i, want := range test.want {
				got, _ := take(t, l, fmt.Sprint(i), 20)
				require.Equal(t, want, got, "share %d", i)
			}
		})
	}
}

// In whatever order requests come and go: nobody waits who may take a turn, all
// get one in the end, and nothing is left behind.
func TestEveryWaiterGetsATurn(t *testing.T) {
	l := newLane(askingTurns, 1000)
	var holding []string
	waiting := map[*waiter]string{}
	for i := range 200 {
		name := fmt.Sprint(i % 7 * (i % 3))
		w, full := l.enter(name)
		require.Empty(t, full)
		if w == nil {
			holding = append(holding, name)
		} else {
			waiting[w] = name
		}
	}
	for served := len(holding); len(holding) > 0; {
		for _, s := range l.queue {
			require.False(t, mayTake(s.own, l.free), "%d turns, %d free", s.own, l.free)
		}
		require.LessOrEqual(t, len(holding), askingTurns)
		last := len(holding) - 1
		l.leave(holding[last])
		holding = holding[:last]
		for w, name := range waiting {
			if came(w) {
				delete(waiting, w)
				holding = append(holding, name)
				served++
			}
		}
		if len(holding) == 0 {
			require.Equal(t, 200, served)
		}
	}
	require.Empty(t, waiting)
	require.True(t, l.idle())
	require.Empty(t, l.queue)
	require.Equal(t, askingTurns, l.free)
	require.Zero(t, l.waiting)
}

func TestOrderOfTurns(t *testing.T) {
	l := newLane(1, 1000)
	take(t, l, "a", 1)
	_, a := take(t, l, "a", 3)
	_, b := take(t, l, "b", 2)
	holder := "a"
	for i, next := range []struct {
		w    *waiter
		name string
	}{{a[0], "a"}, {b[0], "b"}, {a[1], "a"}, {b[1], "b"}, {a[2], "a"}} {
		l.leave(holder)
		require.True(t, came(next.w), "turn %d", i)
		holder = next.name
	}
}

func TestBoundsOfWaiting(t *testing.T) {
	l := newLane(askingTurns, 2*maxWaitingShare)
	take(t, l, "a", 6+maxWaitingShare)
	_, full := l.enter("a")
	require.Equal(t, shareFull, full)
	take(t, l, "b", 3+maxWaitingShare)
	take(t, l, "c", 2) // its turns are its own
	_, full = l.enter("c")
	require.Equal(t, laneFull, full)
	require.Len(t, l.shares["c"].waiting, 0)

	take(t, l, "d", 1)
	_, full = l.enter("e")
	require.Equal(t, laneFull, full)
	require.NotContains(t, l.shares, "e", "who is turned away leaves nothing behind")
}

func TestGiveUp(t *testing.T) {
	l := newLane(1, 1000)
	take(t, l, "a", 1)
	_, b := take(t, l, "b", 3)
	require.True(t, l.giveUp("b", b[0]))
	require.False(t, l.giveUp("b", b[0]), "twice")
	require.False(t, l.giveUp("nobody", b[0]))
	l.leave("a")
	require.True(t, came(b[1]))
	require.False(t, l.giveUp("b", b[1]), "its turn has come")
	require.True(t, l.giveUp("b", b[2]))
	l.leave("b")
	require.True(t, l.idle())
	require.Empty(t, l.queue)
}

func TestExpel(t *testing.T) {
	l := newLane(1, 1000)
	take(t, l, "a", 1)
	_, first := take(t, l, "a", 2)
	_, other := take(t, l, "b", 1)
	why := &throttle{}
	l.expel("a", why)
	l.expel("nobody", why)
	for _, w := range first {
		require.Same(t, why, <-w.result)
	}
	require.Empty(t, other[0].result)
	l.leave("a")
	require.True(t, came(other[0]))
}
