// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

const (
	// EndLimit limits what a request to invalidate tokens takes.
	EndLimit = 50 * time.Second

	// Ending condemned tokens that could not be ended is tried again in the
	// background: after a minute, then after twice as long each time.
	minEndPause = time.Minute
	maxEndPause = time.Hour
)

// FailedEnd is a token that could not be ended.
type FailedEnd struct {
	Token *Token
	Err   error
}

// ErrNoAnswer is why a token could not be ended whose request was given up.
var ErrNoAnswer = errors.New("IMS has not answered in time")

// endAll ends tokens at IMS, all at once: the requests wait for their turns. No
// lock is held.
func (s *Service) endAll(ctx context.Context, tokens []*Token) (dead []*Token, failed []FailedEnd) {
	results := make([]error, len(tokens))
	var group sync.WaitGroup
	for i, token := range tokens {
		group.Go(func() {
			results[i] = s.host.Recover(func() error { return s.ender.End(ctx, token) })
		})
	}
	group.Wait()
	for i, err := range results {
		switch {
		case err == nil:
			dead = append(dead, tokens[i])
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			failed = append(failed, FailedEnd{tokens[i], ErrNoAnswer})
		default:
			failed = append(failed, FailedEnd{tokens[i], err})
		}
	}
	return dead, failed
}

// endCondemned puts on record that tokens are condemned, ends them, and takes off
// the record those that are dead. If storage fails they are ended all the same.
func (s *Service) endCondemned(ctx context.Context, st *roleState, tokens []*Token) ([]FailedEnd, error) {
	st.mu.Lock()
	st.ending++
	st.mu.Unlock()
	_ = s.saveAnyway(st) // the second one below tells
	dead, failed := s.endAll(ctx, tokens)
	st.mu.Lock()
	st.ending--
	st.bury(dead)
	st.noteEnds(len(failed) > 0, s.host.Clock.Now())
	st.mu.Unlock()
	return failed, s.saveAnyway(st)
}

// noteEnds plans when ending condemned tokens is tried again. What fails before
// that counts as the same failure.
func (s *state) noteEnds(failed bool, now time.Time) {
	switch {
	case failed && !now.Before(s.endAgain):
		s.endAgain = now.Add(min(minEndPause<<min(s.endFailures, 10), maxEndPause))
		s.endFailures++
	case !failed && len(s.condemned()) == 0:
		s.endFailures, s.endAgain = 0, time.Time{}
	}
}

// endInBackground ends a condemned token that nobody asked to be ended. It does so
// although the mount is being removed: the token would be lost sight of. It is
// called with st.mu held.
func (s *Service) endInBackground(st *roleState, token *Token) {
	st.running++
	go func() {
		defer s.done(st)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.host.Context), EndLimit)
		defer cancel()
		err := s.host.Recover(func() error {
			failed, err := s.endCondemned(ctx, st, []*Token{token})
			if len(failed) > 0 {
				err = failed[0].Err
			}
			return err
		})
		if err != nil {
			s.host.Log.Warn("a token that was handed to nobody could not be invalidated yet",
				"role", st.name, "expire_time", advice.Time(token.Expires), "error", err)
		}
	}()
}

// KillError names the tokens that IMS did not end.
type KillError struct {
	Role   string
	Failed []FailedEnd
	Of     int // outstanding in all
}

// Error implements error.
func (e *KillError) Error() string {
	return fmt.Sprintf("of %d outstanding tokens of role %q, %d could not be invalidated", e.Of, e.Role, len(e.Failed))
}

// Unwrap returns the first cause.
func (e *KillError) Unwrap() error { return e.Failed[0].Err }

// Kill ends every outstanding token of a role at IMS, and returns how many that
// were. From its first moment none of them is handed out, whatever it waits for;
// once it has stored so, not after a restart either. The error is a *KillError if
// some live on: those stay on record.
func (s *Service) Kill(ctx context.Context, name string) (int, error) {
	return s.kill(ctx, name, false)
}

// Delete does the same for a role that was deleted: a mint under way serves
// nobody, and nothing of the role stays in memory once its tokens are dead.
func (s *Service) Delete(ctx context.Context, name string) (int, error) {
	return s.kill(ctx, name, true)
}

func (s *Service) kill(ctx context.Context, name string, deleted bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, EndLimit)
	defer cancel()

	// 1. Condemn, in memory. Nobody is waited for.
	var st *roleState
	var outstanding []*Token
	err := s.locked(ctx, name, func(locked *roleState) {
		st = locked
		outstanding = st.condemn(s.order.Next(), s.host.Clock.Now())
		st.running++
	})
	if err != nil {
		return 0, err
	}
	defer s.done(st)
	if deleted {
		s.noteDeletion(ctx, st)
	}

	// 2. Put it on record, end the tokens at IMS, take the dead off the record.
	failed, err := s.endCondemned(ctx, st, outstanding)
	ended := len(outstanding) - len(failed)
	if ended > 0 {
		s.host.Events.Send(ctx, "token-invalidate", "token/"+name, "role", name, "tokens", strconv.Itoa(ended))
	}
	if len(failed) > 0 {
		return ended, &KillError{Role: name, Failed: failed, Of: len(outstanding)}
	}
	return ended, err
}

// noteDeletion has whoever looked at the role before it was deleted look again. A
// role that was written anew since is left alone.
func (s *Service) noteDeletion(ctx context.Context, st *roleState) {
	deletion := s.order.Next()
	_, err := s.lookup(ctx, st.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.noteLookup(err)
	if advice.IsMissing(err) {
		st.revision = max(st.revision, deletion)
	}
}

// Outstanding is how many tokens of a role have neither expired nor been ended.
// The role need not exist: one that was deleted can have left some.
func (s *Service) Outstanding(ctx context.Context, name string) (count int, err error) {
	now := s.host.Clock.Now()
	if value, ok := s.roles.Load(name); ok {
		st := value.(*roleState)
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.outstanding(now), nil
	}
	r, err := loadRecord(ctx, s.host.Storage, name)
	for _, t := range r.Tokens {
		if t.Expires.After(now) {
			count++
		}
	}
	return count, err
}
