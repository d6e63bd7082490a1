// SPDX-License-Identifier: MPL-2.0

package entry

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// maxSharing is how many can share one name at a time.
const maxSharing = 1 << 30

// Locks are locks by exact name: two names never share one. Waiting for one ends
// with the caller's context. What nobody holds or waits for takes no memory. The
// zero value is ready to use.
type Locks struct {
	mu    sync.Mutex // guards names and the users of each
	names map[string]*nameLock
}

type nameLock struct {
	turns *semaphore.Weighted
	users int // holders and those who wait
}

// Lock takes the name for the caller alone. The error is the context's.
func (l *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	return l.acquire(ctx, name, maxSharing)
}

// Share takes the name beside others who share it.
func (l *Locks) Share(ctx context.Context, name string) (unlock func(), err error) {
	return l.acquire(ctx, name, 1)
}

func (l *Locks) acquire(ctx context.Context, name string, weight int64) (func(), error) {
	lock := l.enter(name)
	if err := lock.turns.Acquire(ctx, weight); err != nil {
		l.leave(name, lock)
		return nil, err
	}
	return sync.OnceFunc(func() {
		lock.turns.Release(weight)
		l.leave(name, lock)
	}), nil
}

func (l *Locks) enter(name string) *nameLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil {
		l.names = map[string]*nameLock{}
	}
	lock := l.names[name]
	if lock == nil {
		lock = &nameLock{turns: semaphore.NewWeighted(maxSharing)}
		l.names[name] = lock
	}
	lock.users++
	return lock
}

func (l *Locks) leave(name string, lock *nameLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock.users--
	if lock.users == 0 {
		delete(l.names, name)
	}
}
