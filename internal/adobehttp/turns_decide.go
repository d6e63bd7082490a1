// SPDX-License-Identifier: MPL-2.0

package adobehttp

import "slices"

// How many requests a server gets at a time, and how many may wait.
const (
	askingTurns = 12
	endingTurns = 4

	maxWaitingShare  = 256
	maxWaitingAsking = 2048
	maxWaitingEnding = 4096
)

// lane is the turns of one kind of requests at one server. It decides who is
// next; nothing in it waits.
//
// A share may take another turn while it has fewer than half of what it could
// have, which are its own turns and the free ones. One share alone thus gets
// half of the turns, the next one half of the rest, and one that asks for the
// first time finds a turn, unless several shares let the server hang.
type lane struct {
	free       int
	maxWaiting int
	waiting    int
	shares     map[string]*share
	queue      []*share // those that wait, the next one first
}

// load returns how many turns are taken and how many requests wait for one.
func (l *lane) load() (taken, waiting int) {
	for _, s := range l.shares {
		taken += s.own
	}
	return taken, l.waiting
}

// share is what one credential has of a lane.
type share struct {
	name    string
	own     int // turns taken
	waiting []*waiter
}

// waiter is one request that waits. Exactly one result comes, unless the
// request gives up first: nil when its turn has come, otherwise the throttle
// for which it gets none.
type waiter struct {
	result chan *throttle
}

func newLane(turns, maxWaiting int) *lane {
	return &lane{free: turns, maxWaiting: maxWaiting, shares: map[string]*share{}}
}

// mayTake reports whether a share with so many turns may take one of the free.
func mayTake(own, free int) bool { return free > 0 && own < (own+free+1)/2 }

// refusal says that too many wait already.
type refusal string

const (
	shareFull refusal = "too many requests of this credential are waiting for their turn at"
	laneFull  refusal = "too many requests are waiting for their turn at"
)

// enter takes a turn for a request of the share, or has it wait: then there is
// a waiter. A refusal other than "" means neither.
func (l *lane) enter(name string) (*waiter, refusal) {
	s := l.shares[name]
	if s == nil {
		s = &share{name: name}
	}
	switch {
	case len(s.waiting) == 0 && mayTake(s.own, l.free):
		l.shares[name] = s
		s.own++
		l.free--
		return nil, ""
	case len(s.waiting) >= maxWaitingShare:
		return nil, shareFull
	case l.waiting >= l.maxWaiting:
		return nil, laneFull
	}
	l.shares[name] = s
	w := &waiter{result: make(chan *throttle, 1)}
	if len(s.waiting) == 0 {
		l.queue = append(l.queue, s)
	}
	s.waiting = append(s.waiting, w)
	l.waiting++
	return w, ""
}

// leave gives a turn of the share back, and the free turns to those that wait.
func (l *lane) leave(name string) {
	s := l.shares[name]
	s.own--
	l.free++
	l.forget(s)
	l.serve()
}

// serve gives the free turns away, one to each share in turn.
func (l *lane) serve() {
	for i := 0; i < len(l.queue) && l.free > 0; {
		s := l.queue[i]
		if !mayTake(s.own, l.free) {
			i++
			continue
		}
		w := s.waiting[0]
		s.own++
		l.free--
		l.remove(s, 0)
		if j := slices.Index(l.queue, s); j >= 0 { // it still waits: behind the others
			l.queue = append(slices.Delete(l.queue, j, j+1), s)
		}
		w.result <- nil
		i = 0
	}
}

// giveUp takes a waiter that did not get its turn out of its share. It reports
// whether there was one: otherwise its result has come.
func (l *lane) giveUp(name string, w *waiter) bool {
	s := l.shares[name]
	if s == nil {
		return false
	}
	i := slices.Index(s.waiting, w)
	if i < 0 {
		return false
	}
	l.remove(s, i)
	return true
}

// expel ends the waiting of the share's requests.
func (l *lane) expel(name string, why *throttle) {
	s := l.shares[name]
	if s == nil {
		return
	}
	for i := len(s.waiting) - 1; i >= 0; i-- {
		w := s.waiting[i]
		l.remove(s, i)
		w.result <- why
	}
}

func (l *lane) remove(s *share, i int) {
	s.waiting = slices.Delete(s.waiting, i, i+1)
	l.waiting--
	if len(s.waiting) == 0 {
		j := slices.Index(l.queue, s)
		l.queue = slices.Delete(l.queue, j, j+1)
		l.forget(s)
	}
}

// forget drops a share that nobody uses.
func (l *lane) forget(s *share) {
	if s.own == 0 && len(s.waiting) == 0 {
		delete(l.shares, s.name)
	}
}

// idle reports whether nobody uses the lane.
func (l *lane) idle() bool { return len(l.shares) == 0 }
