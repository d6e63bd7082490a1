// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"hash/fnv"
	"time"
)

// How a token's life is shared out. A token is handed out until half of its life
// is over: every consumer that reads again at half of its lease or later then
// gets a newer one. It is replaced a little earlier, so that nobody waits.
//
//	issued   forwarded from   refreshed at   served until          expires
//	|-------------|---------------|---------------|-------------------|
//	0         by standbys,                  half of the life, or     life
//	          to the leader                 more if min_ttl asks

const (
	// MinLife is the shortest life with which a token is handed out: leases are
	// whole seconds, and none may be 0.
	MinLife = time.Second

	// maxLead is how long before its turn a token is replaced at most.
	maxLead = 15 * time.Minute
)

func (t *Token) alive(now time.Time) bool { return t.Remaining(now) >= MinLife }

// reserve is the life that a token has to have left to be handed out. A min_ttl
// above nine tenths of the life counts as that, or every read would mint.
func (t *Token) reserve(minTTL time.Duration) time.Duration {
	return max(t.Life()/2, min(minTTL, t.Life()*9/10))
}

// servedUntil is when a newer token takes the token's place.
func (t *Token) servedUntil(minTTL time.Duration) time.Time {
	return t.Expires.Add(-t.reserve(minTTL))
}

func (t *Token) lead(minTTL time.Duration) time.Duration {
	return min(t.servedUntil(minTTL).Sub(t.Issued)/5, maxLead)
}

// refreshAt is when the newer token is minted in the background. Tokens that
// were minted together are spread over half of the lead.
func (t *Token) refreshAt(minTTL time.Duration) time.Time {
	lead := t.lead(minTTL)
	return t.servedUntil(minTTL).Add(-lead/2 - time.Duration(t.jitter()*float64(lead/2)))
}

// forwardedFrom is when a node that may not mint sends its readers to one that
// may: early enough for that to know that the role is in use.
func (t *Token) forwardedFrom(minTTL time.Duration) time.Time {
	return t.servedUntil(minTTL).Add(-t.lead(minTTL) * 3 / 2)
}

// jitter is a number from 0 to 1 that stays the same for the token, on every
// node. It is made of the token's end, part of its signature, and of the low bits
// of the hash, in which small differences show.
func (t *Token) jitter() float64 {
	const steps = 10_000
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(t.AccessToken[max(0, len(t.AccessToken)-64):]))
	return float64(sum.Sum64()%steps) / steps
}
