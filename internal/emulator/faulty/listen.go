// SPDX-License-Identifier: MPL-2.0

package faulty

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// listener is the Server's own HTTP server, for as long as it runs.
type listener struct {
	mu      sync.Mutex
	address string        // that of the last Start, with its port resolved
	server  *http.Server  // nil = stopped
	served  chan struct{} // closed when server has ended
}

// Start listens on addr ("" = a free port of 127.0.0.1) and serves until
// [Server.Stop]. It returns the URL to reach it at.
func (s *Server) Start(addr string) (string, error) {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		return "", errors.New("the server is already serving")
	}
	return l.listen(cmp.Or(addr, "127.0.0.1:0"), s)
}

// Stop closes the listener and every connection, and ends the requests that a
// [Fault] keeps hanging. Connections are refused from then on. All else stays
// for [Server.Restart]. Without Start it only ends hanging requests.
func (s *Server) Stop() {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	s.faults.release()
	l.close()
}

// Restart listens again on the address that [Server.Start] had, after a Stop if
// need be.
func (s *Server) Restart() error {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.address == "" {
		return errors.New("the server was never started")
	}
	l.close()
	_, err := l.listen(l.address, s)
	return err
}

func (l *listener) listen(addr string, handler http.Handler) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listening on %s: %w", addr, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	l.address, l.server, l.served = ln.Addr().String(), server, served
	go func() {
		defer close(served)
		_ = server.Serve(ln) // ends with ErrServerClosed
	}()
	return "http://" + l.address, nil
}

func (l *listener) close() {
	if l.server == nil {
		return
	}
	_ = l.server.Close() // an error of the listener's: it is closed anyway
	<-l.served
	l.server = nil
}
