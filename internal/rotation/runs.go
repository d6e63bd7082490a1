// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"sync"
	"time"
)

// claimWithin is for how long the outcome of a rotation is kept that nobody
// waited for: whoever was told to call again gets it instead of one more
// rotation.
const claimWithin = 15 * time.Minute

// runs are those under way, one of a config at a time. The zero value is ready
// to use.
type runs struct {
	mu        sync.Mutex // guards all here, and run.left
	underWay  map[string]*run
	unclaimed map[string]unclaimed
}

// unclaimed is a rotation whose outcome nobody waited for.
type unclaimed struct {
	uuid  string // of the new secret
	early []Previous
	at    time.Time
}

// begin returns the run of a config that is under way, or makes another the
// one.
func (rs *runs) begin(r *run) (underWay *run, mine bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if other := rs.underWay[r.name]; other != nil {
		return other, false
	}
	if rs.underWay == nil {
		rs.underWay, rs.unclaimed = map[string]*run{}, map[string]unclaimed{}
	}
	rs.underWay[r.name] = r
	return r, true
}

// end lets another run of the config begin.
func (rs *runs) end(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.underWay, r.name)
	delete(rs.unclaimed, r.name)
	if r.left {
		rs.keep(r)
	}
	close(r.done)
}

// leave tells that who waited for a run goes away.
func (rs *runs) leave(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.left = true
	if rs.underWay[r.name] != r {
		rs.keep(r) // it ended at the same moment
	}
}

// take tells that somebody gets the outcome of a run that has ended.
func (rs *runs) take(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.result != nil && rs.unclaimed[r.name].uuid == r.result.UUID {
		delete(rs.unclaimed, r.name)
	}
}

// keep keeps the outcome of a run. It is called with mu held.
func (rs *runs) keep(r *run) {
	if r.result != nil {
		rs.unclaimed[r.name] = unclaimed{uuid: r.result.UUID, early: r.result.RemovedEarly, at: r.host.Clock.Now()}
	}
}

// claim takes the outcome of a rotation that nobody waited for, if that made
// the secret of the uuid the current one.
func (rs *runs) claim(name, uuid string, now time.Time) (early []Previous, ok bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	kept, ok := rs.unclaimed[name]
	delete(rs.unclaimed, name)
	return kept.early, ok && kept.uuid == uuid && now.Sub(kept.at) < claimWithin
}

// wait waits until the run has ended. The error is the context's.
func (r *run) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
