// SPDX-License-Identifier: MPL-2.0

package faulty_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const control = "/control/"

func startWithControl(t *testing.T) *fixture {
	t.Helper()
	f := start(t)
	f.Stop()
	f.EnableControl(control)
	require.NoError(t, f.Restart())
	return f
}

func TestControlFaults(t *testing.T) {
	f := startWithControl(t)
	a := f.send(http.MethodPost, control+"fault", `{"path":"`+thing+`","status":429,"retry_after":"3","times":1}`)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	require.Equal(t, `{"path":"/things/1","times":1,"status":429,"retry_after":"3"}`+"\n", a.body)
	a = f.send(http.MethodGet, thing, "")
	require.Equal(t, 429, a.status)
	require.Equal(t, "3", a.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.status())

	require.Equal(t, http.StatusCreated, f.send(http.MethodPost, control+"fault", `{"drop":true}`).status)
	_, err := f.try(t.Context(), http.MethodGet, thing, "")
	require.Error(t, err)
	a = f.send(http.MethodDelete, control+"fault", "")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "{}\n", a.body)
	require.Equal(t, http.StatusOK, f.status())
}

func TestControlRefuses(t *testing.T) {
	f := startWithControl(t)
	for _, body := range []string{
		`{"sttaus":500}`, `{`, ``, `{"status":"x"}`, `{"status":99}`, `{"status":600}`, `status=500`,
	} {
		a := f.send(http.MethodPost, control+"fault", body)
		require.Equal(t, http.StatusBadRequest, a.status, body)
		require.Regexp(t, `\n$`, a.body)
	}
	require.Equal(t, http.StatusOK, f.status())
}

func TestControlCounters(t *testing.T) {
	f := startWithControl(t)
	f.status()
	f.status()
	require.Equal(t, `{"/things/1":{"requests":2,"peak":1}}`+"\n", f.send(http.MethodGet, control+"counters", "").body)
}

func TestControlIsOffUnlessEnabled(t *testing.T) {
	f := start(t)
	require.Equal(t, "ok", f.send(http.MethodPost, control+"fault", `{"drop":true}`).body)
	require.Equal(t, http.StatusOK, f.status())
}
