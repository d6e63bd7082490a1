// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"strings"
	"time"
)

// How a token's life is shared out. A token is handed out until half of its life
// is over: every consumer that reads again at half of its lease or later then
// gets a newer one. It is replaced a little earlier, so that nobody waits.
//
//	minted        refresh from  handed out until            expires
//	|-----------------|---------------|------------------------|
//	0                       half of the life, or more          life
//	                         if min_ttl asks for it

// leastTTL is the shortest life with which a token is handed out: leases are
// whole seconds, and none may be 0.
const leastTTL = time.Second

// maxLead is how long before its turn a token is replaced at most.
const maxLead = 15 * time.Minute

func (t *mintedToken) life() time.Duration { return t.Expires.Sub(t.Issued) }

func (t *mintedToken) remaining(now time.Time) time.Duration { return t.Expires.Sub(now) }

func (t *mintedToken) alive(now time.Time) bool { return t.remaining(now) >= leastTTL }

// keeps is the life that a token has to have left to be handed out. A min_ttl
// above nine tenths of the life counts as that, or every read would mint.
func (t *mintedToken) keeps(minTTL time.Duration) time.Duration {
	return max(t.life()/2, min(minTTL, t.life()*9/10))
}

// handedOutUntil is when a newer token takes the token's place.
func (t *mintedToken) handedOutUntil(minTTL time.Duration) time.Time {
	return t.Expires.Add(-t.keeps(minTTL))
}

// refreshFrom is when the newer token is minted in the background. A jitter from
// 0 to 1 spreads the tokens that were minted together.
func (t *mintedToken) refreshFrom(minTTL time.Duration, jitter float64) time.Time {
	until := t.handedOutUntil(minTTL)
	lead := min(until.Sub(t.Issued)/5, maxLead)
	return until.Add(-lead/2 - time.Duration(jitter*float64(lead/2)))
}

// timestamp writes a time as all answers and messages do: RFC 3339, UTC.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// inWords writes a duration in whole seconds without its zeros: 48h, not 48h0m0s.
func inWords(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }
