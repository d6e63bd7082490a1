// SPDX-License-Identifier: MPL-2.0

// Package advice is an error that its reader can put right: the problem, and the
// command that does it.
//
// It knows nothing of Vault's statuses: the root package makes a 400 of it. Its
// texts name paths of the mount as <mount>/..., since no room knows where the
// mount is; the root package puts the mount's path in their place.
package advice

import (
	"errors"
	"fmt"
	"strings"
)

// Mount stands for the path of the mount, with its slash, in a text.
const Mount = "<mount>/"

// ErrMissing is the cause of the advice about a role or config that does not
// exist.
var ErrMissing = errors.New("does not exist")

// Error is what an operator can put right.
type Error struct {
	// Problem says what is wrong, and leads up to the command if there is one.
	Problem string

	// Command can be copied, such as
	// "vault write <mount>/config/default client_secret=@secret.txt".
	Command string

	// Err is the cause, if there is one. Its words are in Problem already.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Command == "" {
		return e.Problem
	}
	return e.Problem + ": " + e.Command
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error without a command.
func New(format string, args ...any) *Error { return &Error{Problem: fmt.Sprintf(format, args...)} }

// Field returns an Error about a field of a request: what it is, why that cannot
// be, and what is right.
func Field(name, format string, args ...any) *Error {
	return New(name+": "+format, args...)
}

// Missing returns an Error about a role or config that does not exist.
func Missing(format string, args ...any) *Error {
	return &Error{Problem: fmt.Sprintf(format, args...), Err: ErrMissing}
}

// Run adds the command that puts it right.
func (e *Error) Run(format string, args ...any) *Error {
	e.Command = fmt.Sprintf(format, args...)
	return e
}

// Because adds the cause.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// IsMissing reports whether an error says that a role or config does not exist.
func IsMissing(err error) bool { return errors.Is(err, ErrMissing) }

// At puts the mount's path, with its slash, in the place of Mount.
func At(mount, text string) string { return strings.ReplaceAll(text, Mount, mount) }
