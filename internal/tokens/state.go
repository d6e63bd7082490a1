// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

const (
	// maxOutstanding is how many tokens of a role can be outstanding. A role in
	// ordinary use has two or three.
	maxOutstanding = 250

	// maxRecord is how large a role's record can get, in bytes. Raft takes
	// entries of 1 MiB.
	maxRecord = 900 << 10

	// MaxToken is how large a token can be, in bytes. Adobe's have one or two
	// kilobytes.
	MaxToken = 32 << 10

	// maxSingles is how many exclusive tokens of a role are minted at a time,
	// those that wait for their turn included.
	maxSingles = 128
)

// state is what is known of one role's tokens. None of its methods takes a
// context: what has no context cannot block.
type state struct {
	tokens []held // outstanding, oldest first

	// version is raised with every change of tokens, and saved is the version
	// that storage has. A token is handed out once it is saved: before that the
	// kill switch would not find it after a restart.
	version, saved uint64

	// epoch is the order number of the last kill or deletion. What was begun
	// before is not handed out. CondemnedAt is when that was: a token that was
	// obtained beside the store may be from before, too.
	epoch       uint64
	condemnedAt time.Time

	// revision is the newest of the role and its config that was seen. Who holds
	// an older one has to look again.
	revision uint64

	served  *Token   // the last that was handed out, by the leader where this node forwards
	minted  bool     // a token was minted
	deleted bool     // the role is gone
	failure *Failure // of the last mint; nil if it succeeded
	call    *call    // the mint under way that readers wait for; nil if there is none
	singles int      // exclusive tokens being minted
	running int      // who works with the state: mints, endings, exclusive readers; it stays in memory meanwhile

	reads               uint64 // tokens handed out
	mints, mintFailures uint64

	ending      int       // endings under way
	endFailures int       // in a row, of ending condemned tokens
	endAgain    time.Time // until then ending them is not tried in the background
}

// held is a token and the version of the record that it came with.
type held struct {
	*Token
	version uint64
}

// newest returns the token to hand out, or nil: the latest that fits, is on
// record and was not condemned.
func (s *state) newest(spec Spec, now time.Time) (newest *Token) {
	for _, t := range slices.Backward(s.tokens) {
		if t.Condemned || t.version > s.saved || !t.alive(now) || !t.Fits(spec) {
			continue
		}
		if newest == nil || t.Issued.After(newest.Issued) {
			newest = t.Token
		}
	}
	return newest
}

// full reports whether another token might not go on record.
func (s *state) full(now time.Time) bool {
	count, size := s.outstanding(now), 0
	for _, t := range s.tokens {
		if t.Expires.After(now) {
			size += t.size()
		}
	}
	return count >= maxOutstanding || size+MaxToken > maxRecord
}

// outstanding is how many tokens have not expired.
func (s *state) outstanding(now time.Time) (count int) {
	for _, t := range s.tokens {
		if t.Expires.After(now) {
			count++
		}
	}
	return count
}

// nextExpiry is when the first of the outstanding tokens expires; zero if there is
// none.
func (s *state) nextExpiry(now time.Time) (first time.Time) {
	for _, t := range s.tokens {
		if t.Expires.After(now) && (first.IsZero() || t.Expires.Before(first)) {
			first = t.Expires
		}
	}
	return first
}

// size is about how many bytes the token takes in the record.
func (t *Token) size() int {
	size := 512 + len(t.AccessToken) + len(t.Config) + len(t.ClientID) + len(t.IMSURL) + len(t.OrgID) + len(t.AccountID)
	for _, scopes := range [][]string{t.Scopes, t.Granted} {
		for _, scope := range scopes {
			size += len(scope) + 3
		}
	}
	return size
}

// add puts a token on the record, and leaves out what has expired. The token is
// not handed out before the record is saved.
func (s *state) add(t *Token, now time.Time) {
	s.prune(now)
	s.version++
	s.minted = true
	s.tokens = append(s.tokens, held{t, s.version})
}

func (s *state) prune(now time.Time) {
	expired := func(t held) bool { return !t.Expires.After(now) }
	if slices.ContainsFunc(s.tokens, expired) {
		s.tokens = slices.DeleteFunc(slices.Clone(s.tokens), expired)
		s.version++
	}
}

// condemn marks every token: none of them is handed out from now on. A mint
// under way is nobody's any more. It returns the tokens that are to be ended.
func (s *state) condemn(epoch uint64, now time.Time) []*Token {
	s.epoch, s.condemnedAt = epoch, now
	s.abandon()
	s.failure, s.served = nil, nil
	s.prune(now)
	for i, t := range s.tokens {
		if !t.Condemned {
			s.tokens[i].Token = t.condemned()
			s.version++
		}
	}
	return s.condemned()
}

// condemned are the tokens that are to be ended.
func (s *state) condemned() (tokens []*Token) {
	for _, t := range s.tokens {
		if t.Condemned {
			tokens = append(tokens, t.Token)
		}
	}
	return tokens
}

// bury takes tokens off the record that are known to be dead.
func (s *state) bury(dead []*Token) {
	buried := func(t held) bool { return slices.Contains(dead, t.Token) }
	if slices.ContainsFunc(s.tokens, buried) {
		s.tokens = slices.DeleteFunc(slices.Clone(s.tokens), buried)
		s.version++
	}
}

func (t *Token) condemned() *Token {
	c := *t
	c.Condemned = true
	return &c
}

// abandon makes the mint under way nobody's: who waits for it looks again. It is
// given up if it still waits for its turn; otherwise its token goes on record when
// it comes.
func (s *state) abandon() {
	if s.call != nil {
		s.call.cancel()
		close(s.call.done)
		s.call = nil
	}
}

// abandonOutdated does so with a mint whose token the spec has no use for.
func (s *state) abandonOutdated(spec Spec) {
	if s.call != nil && (spec.Role.Exclusive || !s.call.spec.Yields(spec)) {
		s.abandon()
	}
}

// see notes the newest revision. It reports whether the spec is that one.
func (s *state) see(spec Spec) bool {
	if spec.Revision < s.revision {
		return false
	}
	s.revision = spec.Revision
	s.deleted = false
	return true
}

// note keeps the outcome of a mint of the spec.
func (s *state) note(spec Spec, err error, started, now time.Time) {
	if err == nil {
		s.mints++
		s.failure, s.minted = nil, true
		return
	}
	s.mintFailures++
	s.failure = s.failure.next(err, spec, started, now)
	if token := s.newest(spec, now); token != nil {
		s.failure.before(token.Expires, now)
	}
}

// noteLookup keeps that the role is gone, if that is what a lookup says.
func (s *state) noteLookup(err error) {
	s.deleted = s.deleted || advice.IsMissing(err)
}

// forgettable reports whether the role is gone and nothing is left of it.
func (s *state) forgettable() bool {
	return s.deleted && len(s.tokens) == 0 && s.running == 0 && s.saved == s.version
}
