// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const contentTypeJSON = "application/json;charset=UTF-8"

// imsError is how IMS says no. The zero value of status is a 400, IMS's for
// nearly everything.
type imsError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e imsError) write(w http.ResponseWriter) {
	writeJSON(w, cmp.Or(e.status, http.StatusBadRequest), e)
}

// gatewayError is how the gateway before the console API says no. Adobe shows
// two shapes of it: a full one, and for throttling one of code and message
// alone, where the code is a string.
type gatewayError struct {
	Status  int
	Title   string // "" = none
	Code    string // digits
	Message string
}

func (e gatewayError) write(w http.ResponseWriter) {
	answer := map[string]any{"error_code": e.Code, "message": e.Message}
	if e.Status != http.StatusTooManyRequests {
		answer["status"] = e.Status
		if e.Title != "" {
			answer["title"] = e.Title
		}
		if n, err := strconv.Atoi(e.Code); err == nil {
			answer["error_code"] = n
		}
	}
	writeJSON(w, e.Status, answer)
}

// writeError is what a Fault with a Code answers: in the shape of the endpoint.
func writeError(w http.ResponseWriter, r *http.Request, status int, code, description string) {
	if isConsole(r) {
		gatewayError{Status: status, Code: code, Message: description}.write(w)
		return
	}
	imsError{status: status, Code: code, Description: description}.write(w)
}

// writeJSON panics on a value that JSON cannot express, which only AlterToken
// could have put there.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body := mustMarshal(v)
	w.Header().Set("Content-Type", contentTypeJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("emulator: %v", err))
	}
	return b
}
