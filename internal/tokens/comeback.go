// SPDX-License-Identifier: MPL-2.0

package tokens

import "time"

// minComeBack is the shortest ttl of a token that lives longer: the Vault Secrets
// Operator takes two seconds or less for a rotation under way, and reports an error
// if it is not over ten seconds later.
const minComeBack = 3 * time.Second

// ComeBack is after how long it is worth reading again. While a token past its turn is
// handed out because IMS fails, that is not before the next attempt, and not all at
// once; but before half of what is left of the token's life is over. Jitter is from
// 0 to 1.
func (a Answer) ComeBack(now time.Time, jitter float64) time.Duration {
	left := a.Token.Remaining(now)
	wait := a.Until.Sub(now)
	if wait <= 0 {
		wait = minComeBack
		if a.Failure != nil {
			wait = max(wait, a.Failure.RetryAt.Sub(now))
		}
		wait += time.Duration(jitter * float64(wait))
		wait = min(wait, left/2)
	}
	return min(max(wait, minComeBack), left)
}
