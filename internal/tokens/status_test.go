// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCondition(t *testing.T) {
	for _, row := range []struct {
		name  string
		given func(m *moment)
		want  Condition
	}{
		{"nothing was minted yet", func(*moment) {}, Unproven},
		{"a token that nobody has read yet", func(m *moment) { m.has("a"); m.after = time.Hour }, Ready},
		{"a token in use", func(m *moment) { m.has("a"); m.use(); m.after = time.Hour }, Ready},
		{"a token in use that is being replaced", func(m *moment) { m.has("a"); m.use(); m.after = 13 * time.Hour }, Ready},
		{"a token past its time that nobody reads", func(m *moment) { m.has("a"); m.after = 13 * time.Hour }, Idle},
		{"past the time that min_ttl sets", func(m *moment) { m.has("a"); m.spec.Role.MinTTL = 18 * time.Hour; m.after = 7 * time.Hour }, Idle},
		{"all tokens have expired", func(m *moment) { m.has("a"); m.after = day }, Idle},
		{"all tokens were ended", func(m *moment) { m.has("a"); m.bury([]*Token{m.tokens[0].Token}) }, Idle},
		{"a living token, but IMS fails", func(m *moment) { m.has("a"); m.after = time.Hour; m.failed(time.Minute) }, Degraded},
		{"no living token, and IMS fails", func(m *moment) { m.has("a"); m.after = day; m.failed(time.Minute) }, Failing},
		{"the first mint failed", func(m *moment) { m.failed(time.Minute) }, Failing},
		{"it failed before the role was written", func(m *moment) { m.failed(time.Minute); m.spec.Revision++ }, Unproven},
		{"exclusive: nothing was minted yet", func(m *moment) { m.spec.Role.Exclusive = true }, Unproven},
		{"exclusive: readers have theirs", func(m *moment) { m.spec.Role.Exclusive = true; m.note(m.spec, nil, start, start) }, Ready},
		{"exclusive: IMS fails", func(m *moment) { m.spec.Role.Exclusive = true; m.minted = true; m.failed(time.Minute) }, Failing},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := &moment{spec: testSpec(7)}
			row.given(m)
			require.Equal(t, row.want, m.status(m.spec, m.now()).Condition)
		})
	}
}

func TestStatus(t *testing.T) {
	m := &moment{spec: testSpec(7)}
	m.has("expired", func(t *Token) { t.Expires = start.Add(time.Minute) })
	m.has("condemned", func(t *Token) { t.Condemned = true })
	m.has("expired and condemned", func(t *Token) { t.Condemned, t.Expires = true, start.Add(time.Minute) })
	m.has("a")
	m.use()
	m.after = time.Hour
	m.failed(time.Hour + time.Second)
	status := m.status(m.spec, m.now())
	require.Equal(t, "a", string(status.Current.AccessToken))
	require.Equal(t, status.Current.refreshAt(0), status.RefreshAt)
	require.True(t, status.InUse)
	require.Equal(t, 2, status.Outstanding)
	require.Equal(t, 1, status.Uninvalidated)
	require.True(t, status.BackingOff)
	require.Same(t, m.failure, status.Failure)

	m.after += time.Second
	require.False(t, m.status(m.spec, m.now()).BackingOff)
	m.served = nil
	require.False(t, m.status(m.spec, m.now()).InUse)
}
