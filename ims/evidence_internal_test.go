// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadEnding(t *testing.T) {
	refused := func(code string) error { return &Error{Kind: Refused, Status: 400, Code: code} }
	for name, test := range map[string]struct {
		body string
		err  error
		want evidence
	}{
		"an empty body":         {body: "", want: dead},
		"white space":           {body: "\r\n", want: dead},
		"{}":                    {body: " {} ", want: dead},
		"an object":             {body: `{"status":"ok"}`, want: unproven},
		"a validation's answer": {body: `{"valid":false}`, want: unproven},
		"an object of nulls":    {body: `{"error":null}`, want: unproven},
		"null":                  {body: `null`, want: unproven},

		"invalid_token":           {err: refused("invalid_token"), want: dead},
		"invalid_token, wrapped":  {err: fmt.Errorf("asking: %w", refused("invalid_token")), want: dead},
		"invalid_token in a 5xx":  {err: &Error{Kind: Unavailable, Status: 503, Code: "invalid_token"}, want: noAnswer},
		"invalid_token in a page": {err: &Error{Kind: Malformed, Status: 401, Code: "invalid_token"}, want: unproven},
		"invalid_request":         {err: refused("invalid_request"), want: unproven},
		"bad_request":             {err: refused("bad_request"), want: unproven},
		"access_denied":           {err: refused("access_denied"), want: unproven},
		"unsupported_token_type":  {err: refused("unsupported_token_type"), want: unproven},
		"a code of the gateway":   {err: refused("403003"), want: unproven},
		"no code":                 {err: refused(""), want: unproven},
		"a word in another case":  {err: refused("INVALID_TOKEN"), want: unproven},
		"invalid_client":          {err: refused("invalid_client"), want: noAnswer},
		"unauthorized_client":     {err: refused("unauthorized_client"), want: noAnswer},

		"malformed":         {err: &Error{Kind: Malformed, Status: 200}, want: unproven},
		"throttled":         {err: &Error{Kind: Throttled, Status: 429}, want: noAnswer},
		"unavailable":       {err: &Error{Kind: Unavailable, Status: 503}, want: noAnswer},
		"unreachable":       {err: &Error{Kind: Unreachable}, want: noAnswer},
		"the context":       {err: context.DeadlineExceeded, want: noAnswer},
		"what let not pass": {err: errors.New("another was quicker"), want: noAnswer},
	} {
		require.Equal(t, test.want, readEnding([]byte(test.body), test.err), name)
	}
}

func TestReadValidity(t *testing.T) {
	for body, want := range map[string][2]bool{
		`{"valid":true}`:                     {true, true},
		`{"valid":true,"token":{"id":"1"}}`:  {true, true},
		`{"valid":false}`:                    {false, true},
		`{"valid":false,"reason":"expired"}`: {false, true},
		`{"valid":null}`:                     {false, false},
		`{"valid":"false"}`:                  {false, false},
		`{"valid":0}`:                        {false, false},
		`{}`:                                 {false, false},
		`{"reason":"expired"}`:               {false, false},
		`[]`:                                 {false, false},
		``:                                   {false, false},
		`<html>`:                             {false, false},
	} {
		valid, told := readValidity([]byte(body))
		require.Equal(t, want, [2]bool{valid, told}, body)
	}
}
