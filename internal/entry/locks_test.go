// SPDX-License-Identifier: MPL-2.0

package entry

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

type taking struct {
	unlock func()
	err    error
	done   chan struct{}
}

func take(ctx context.Context, lock func(context.Context, string) (func(), error), name string) *taking {
	r := &taking{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.unlock, r.err = lock(ctx, name)
	}()
	synctest.Wait()
	return r
}

func (r *taking) has() bool {
	synctest.Wait()
	select {
	case <-r.done:
		return r.err == nil
	default:
		return false
	}
}

func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		ctx := t.Context()
		a := take(ctx, l.Lock, "a")
		require.True(t, a.has())
		second, third := take(ctx, l.Lock, "a"), take(ctx, l.Lock, "a")
		require.False(t, second.has())
		for i := range 1000 { // two names never share a lock
			other := take(ctx, l.Lock, fmt.Sprint("name", i))
			require.True(t, other.has())
			defer other.unlock()
		}
		a.unlock()
		require.True(t, second.has(), "in the order in which they came")
		require.False(t, third.has())
		a.unlock()
		require.False(t, third.has(), "unlocking twice unlocks once")
		second.unlock()
		require.True(t, third.has())
		third.unlock()
	})
}

func TestSharing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		ctx := t.Context()
		a, b := take(ctx, l.Share, "a"), take(ctx, l.Share, "a")
		require.True(t, a.has() && b.has())
		alone := take(ctx, l.Lock, "a")
		require.False(t, alone.has())
		late := take(ctx, l.Share, "a")
		require.False(t, late.has(), "who wants it alone is not overtaken for ever")
		a.unlock()
		require.False(t, alone.has())
		b.unlock()
		require.True(t, alone.has())
		require.False(t, late.has())
		alone.unlock()
		require.True(t, late.has())
		late.unlock()
		require.Empty(t, l.names)
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Locks
		a := take(t.Context(), l.Lock, "a")
		require.True(t, a.has())
		for _, lock := range []func(context.Context, string) (func(), error){l.Lock, l.Share} {
			ctx, cancel := context.WithCancel(t.Context())
			r := take(ctx, lock, "a")
			require.False(t, r.has())
			cancel()
			<-r.done
			require.ErrorIs(t, r.err, context.Canceled)
			require.Nil(t, r.unlock)
		}
		require.Len(t, l.names, 1)
		a.unlock()
		require.Empty(t, l.names, "what nobody holds or waits for takes no memory")
		again := take(t.Context(), l.Lock, "a")
		require.True(t, again.has())
		again.unlock()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.Lock(ctx, "b")
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, l.names)
	})
}

func TestLocksExclude(t *testing.T) {
	var l Locks
	var counts [3]int // guarded by l alone: the race detector watches
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 300 {
				n := (i + j) % len(counts)
				unlock, err := l.Lock(t.Context(), fmt.Sprint(n))
				if err != nil {
					t.Error(err)
					return
				}
				counts[n]++
				unlock()
			}
		})
	}
	group.Wait()
	require.Equal(t, 8*300, counts[0]+counts[1]+counts[2])
	require.Empty(t, l.names)
}

func TestOrder(t *testing.T) {
	var o Order
	var group sync.WaitGroup
	var seen sync.Map
	for range 8 {
		group.Go(func() {
			last := uint64(0)
			for range 1000 {
				next := o.Next()
				if _, twice := seen.LoadOrStore(next, true); twice || next <= last {
					t.Errorf("%d after %d", next, last)
				}
				last = next
			}
		})
	}
	group.Wait()
}
