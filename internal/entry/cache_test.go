// SPDX-License-Identifier: MPL-2.0

package entry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

const prefix = "thing/"

type thing struct {
	Name string `json:"name"`
}

// storage counts, fails and holds up what it is asked.
type storage struct {
	logical.Storage

	mu    sync.Mutex
	count int
	err   error
	holds map[string]chan struct{} // by operation and key
}

// hold holds an operation up, before it returns what it has done, until it is
// released.
func (s *storage) hold(op, name string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.holds[op+prefix+name] = held
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.holds, op+prefix+name)
		close(held)
	}
}

func (s *storage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *storage) answer(ctx context.Context, op, key string) error {
	s.mu.Lock()
	s.count++
	held, err := s.holds[op+key], s.err
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (s *storage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	found, _ := s.Storage.Get(ctx, key)
	return found, s.answer(ctx, "get ", key)
}

func (s *storage) Put(ctx context.Context, e *logical.StorageEntry) error {
	// A write that fails may have taken effect.
	_ = s.Storage.Put(ctx, e)
	return s.answer(ctx, "put ", e.Key)
}

func (s *storage) Delete(ctx context.Context, key string) error {
	_ = s.Storage.Delete(ctx, key)
	return s.answer(ctx, "delete ", key)
}

func newCache() (*Cache[thing], *storage) {
	s := &storage{Storage: &logical.InmemStorage{}, holds: map[string]chan struct{}{}}
	return New[thing](s, prefix, &Order{}), s
}

// put writes as another node does.
func (s *storage) put(t *testing.T, name, value string) {
	t.Helper()
	entry, err := logical.StorageEntryJSON(prefix+name, thing{value})
	require.NoError(t, err)
	require.NoError(t, s.Storage.Put(t.Context(), entry))
}

func get(t *testing.T, c *Cache[thing], name string) (string, uint64) {
	t.Helper()
	stored, err := c.Get(t.Context(), name)
	require.NoError(t, err)
	if stored.Value == nil {
		require.Zero(t, stored.Revision)
		return "", 0
	}
	return stored.Value.Name, stored.Revision
}

func TestCache(t *testing.T) {
	ctx := t.Context()
	c, s := newCache()
	value, _ := get(t, c, "a")
	require.Empty(t, value)

	require.NoError(t, c.Put(ctx, "a", &thing{"one"}))
	value, first := get(t, c, "a")
	require.Equal(t, "one", value)
	count := s.count
	for range 100 {
		_, again := get(t, c, "a")
		require.Equal(t, first, again)
	}
	require.Equal(t, count, s.count, "from memory")

	require.NoError(t, c.Put(ctx, "b", &thing{"other"}))
	require.NoError(t, c.Put(ctx, "a", &thing{"two"}))
	value, second := get(t, c, "a")
	require.Equal(t, "two", value)
	_, other := get(t, c, "b")
	require.Less(t, first, other)
	require.Less(t, other, second, "of two writes the later has the higher number")

	names, err := c.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)

	require.NoError(t, c.Delete(ctx, "a"))
	value, _ = get(t, c, "a")
	require.Empty(t, value)
	require.NoError(t, c.Delete(ctx, "a"), "there is none")
	require.NoError(t, c.Put(ctx, "a", &thing{"three"}))
	_, third := get(t, c, "a")
	require.Less(t, second, third)
}

func TestForget(t *testing.T) {
	c, s := newCache()
	require.NoError(t, c.Put(t.Context(), "a", &thing{"one"}))
	_, first := get(t, c, "a")
	s.put(t, "a", "written by another node")
	value, _ := get(t, c, "a")
	require.Equal(t, "one", value)
	c.Forget("a")
	value, second := get(t, c, "a")
	require.Equal(t, "written by another node", value)
	require.Less(t, first, second)
}

// A Get under way finds what was there before; it must not put that back.
func TestGetUnderWayBringsNothingBack(t *testing.T) {
	for name, replace := range map[string]func(*testing.T, *Cache[thing], *storage){
		"Forget": func(t *testing.T, c *Cache[thing], s *storage) {
			s.put(t, "a", "new")
			c.Forget("a")
		},
		"Put": func(t *testing.T, c *Cache[thing], _ *storage) {
			require.NoError(t, c.Put(t.Context(), "a", &thing{"new"}))
		},
		"Delete": func(t *testing.T, c *Cache[thing], _ *storage) { require.NoError(t, c.Delete(t.Context(), "a")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newCache()
				s.put(t, "a", "old")
				release := s.hold("get ", "a")
				go func() { _, _ = c.Get(t.Context(), "a") }()
				synctest.Wait()
				done := make(chan struct{})
				go func() {
					defer close(done)
					replace(t, c, s)
				}()
				synctest.Wait()
				release()
				<-done
				synctest.Wait()
				value, _ := get(t, c, "a")
				require.Equal(t, map[string]string{"Forget": "new", "Put": "new", "Delete": ""}[name], value)
			})
		})
	}
}

// Nor must a Put that another node has overtaken.
func TestPutThatIsForgottenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache()
		release := s.hold("put ", "a")
		done := make(chan error)
		go func() { done <- c.Put(t.Context(), "a", &thing{"ours"}) }()
		synctest.Wait()
		s.put(t, "a", "theirs")
		c.Forget("a")
		release()
		require.NoError(t, <-done)
		value, _ := get(t, c, "a")
		require.Equal(t, "theirs", value)
	})
}

// After a failed write it is not known whether it took effect: storage is asked.
func TestFailedWrites(t *testing.T) {
	broken := errors.New("storage is broken")
	ctx := t.Context()
	c, s := newCache()
	require.NoError(t, c.Put(ctx, "a", &thing{"one"}))
	s.fail(broken)
	require.Equal(t, broken, c.Put(ctx, "a", &thing{"two"}), "storage's own error")
	_, err := c.Get(ctx, "a")
	require.Equal(t, broken, err)
	s.fail(nil)
	value, _ := get(t, c, "a")
	require.Equal(t, "two", value, "it had taken effect")

	s.fail(broken)
	require.Equal(t, broken, c.Delete(ctx, "a"))
	s.fail(nil)
	value, _ = get(t, c, "a")
	require.Empty(t, value)
}

func TestEntryThatCannotBeRead(t *testing.T) {
	c, s := newCache()
	require.NoError(t, s.Storage.Put(t.Context(), &logical.StorageEntry{Key: prefix + "a", Value: []byte("?")}))
	_, err := c.Get(t.Context(), "a")
	require.ErrorContains(t, err, "thing/a cannot be read")
}

// Slow storage of one name holds up that name, and only as long as its caller
// waits.
func TestOneNameDoesNotHoldUpAnother(t *testing.T) {
	for _, op := range []string{"get ", "put ", "delete "} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newCache()
				s.put(t, "slow", "slow")
				release := s.hold(op, "slow")
				done := make(chan error)
				go func() {
					var err error
					switch op {
					case "get ":
						_, err = c.Get(t.Context(), "slow")
					case "put ":
						err = c.Put(t.Context(), "slow", &thing{"slow"})
					case "delete ":
						err = c.Delete(t.Context(), "slow")
					}
					done <- err
				}()
				synctest.Wait()

				require.NoError(t, c.Put(t.Context(), "fast", &thing{"fast"}))
				value, _ := get(t, c, "fast")
				require.Equal(t, "fast", value)
				require.NoError(t, c.Delete(t.Context(), "fast"))
				c.Forget("slow") // does not wait either

				ctx, cancel := context.WithCancel(t.Context())
				gone := make(chan error)
				go func() {
					_, err := c.Get(ctx, "slow")
					gone <- err
				}()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-gone, context.Canceled)

				release()
				require.NoError(t, <-done)
				require.Empty(t, c.locks.names)
			})
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	c, _ := newCache()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			var last uint64
			for j := range 200 {
				name := fmt.Sprint(j % 3)
				switch (i + j) % 5 {
				case 0:
					_ = c.Put(t.Context(), name, &thing{name})
				case 1:
					c.Forget(name)
				case 2:
					_ = c.Delete(t.Context(), name)
				default:
					stored, err := c.Get(t.Context(), name)
					if err != nil || stored.Value != nil && stored.Value.Name != name {
						t.Error("a value of another name", err)
					}
					last = max(last, stored.Revision)
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, c.locks.names)
}

// What is in memory costs an allocation at most: the name as a key.
func TestGetFromMemoryAllocatesLittle(t *testing.T) {
	c, _ := newCache()
	require.NoError(t, c.Put(t.Context(), "a", &thing{"one"}))
	ctx := t.Context()
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = c.Get(ctx, "a") }), 1.0)
}
