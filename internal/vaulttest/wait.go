// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// WaitFor calls done every 50 ms until it returns nil, and fails the test when
// that takes too long.
func WaitFor(t testing.TB, timeout time.Duration, what string, done func() error) {
	t.Helper()
	err := poll(timeout, func() (bool, error) {
		err := done()
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("waited %s for %s: %v", timeout, what, err)
	}
}

// poll calls step until it is done or the time is over, and returns the last
// error.
func poll(timeout time.Duration, step func() (done bool, err error)) error {
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		done, err := step()
		if done {
			return err
		}
		if time.Now().After(deadline) {
			return errors.Join(errors.New("time is over"), err)
		}
	}
}

func check(t testing.TB, err error, what string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// readFile returns a file's contents, or nothing as long as there is no such
// file.
func readFile(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// withoutNoise leaves out what would hide what matters in the end of a log.
func withoutNoise(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "[TRACE]") && !strings.Contains(line, "expiration: revoked lease") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func firstLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
