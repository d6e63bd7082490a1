// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"net/http"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator/faulty"
)

const controlPrefix = "/emulator/"

// EnableControl lets whoever reaches the Server make it misbehave, under
// /emulator/: see [faulty.Server.EnableControl] and the program
// cmd/adobe-emulator. POST /emulator/token-life takes {"life": "90s"}. Call it
// before the Server serves.
func (s *Server) EnableControl() {
	mux := s.Server.EnableControl(controlPrefix)
	mux.HandleFunc("POST "+controlPrefix+"token-life", s.controlTokenLife)
}

func (s *Server) controlTokenLife(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Life string `json:"life"`
	}
	if !faulty.ReadControl(w, r, &body) {
		return
	}
	life, err := time.ParseDuration(body.Life)
	if err != nil || life < time.Second {
		http.Error(w, "life must be a duration of a second or more, such as 90s or 1h", http.StatusBadRequest)
		return
	}
	s.Configure(func(o *Options) { o.TokenLife = life })
	faulty.WriteControl(w, http.StatusOK, body)
}
