// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program with the processes that it starts itself: a process
// group.
type process struct {
	cmd      *exec.Cmd
	done     chan struct{} // closed when the program has ended
	watchdog *exec.Cmd
	leash    io.Closer // the watchdog's stdin
	killed   bool      // the whole group: its number may belong to others by now
}

// startProcess runs a program with its output appended to the file log.
func startProcess(log string, env []string, program string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	if err := p.guard(filepath.Dir(log)); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// guard starts a watchdog that kills the group and removes its directory when
// this process is gone. Go runs no clean-up when a test times out or is
// interrupted, and a Vault left behind would live for ever.
func (p *process) guard(dir string) error {
	p.watchdog = exec.Command("sh", "-c", `trap "" INT TERM HUP; read -r _; kill -9 "-$1"; rm -rf "$2"`,
		"sh", strconv.Itoa(p.pid()), dir)
	p.watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.watchdog.StdinPipe()
	if err != nil {
		return err
	}
	p.leash = stdin
	return p.watchdog.Start()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the program and everything it started, as a power cut would.
func (p *process) kill() {
	if p.killed {
		return
	}
	p.killed = true
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL) // fails only if all of them have ended
	<-p.done
	p.dismissWatchdog()
}

// killAlone ends the program with SIGKILL and leaves alone what it started.
func (p *process) killAlone() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop ends the program as an orderly shutdown does, and what it left behind
// the hard way.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
	}
	p.kill()
}

func (p *process) dismissWatchdog() {
	if p.watchdog == nil || p.watchdog.Process == nil {
		return
	}
	_ = p.watchdog.Process.Kill()
	_ = p.watchdog.Wait()
	_ = p.leash.Close()
	p.watchdog = nil
}

// children are the processes of the group other than the program itself,
// zombies not counted.
func (p *process) children(t testing.TB) []int {
	t.Helper()
	list, err := listProcesses()
	check(t, err, "list the processes of this machine")
	var children []int
	for line := range strings.Lines(list) {
		var pid, group int
		var state string
		if _, err := fmt.Sscan(line, &pid, &state, &group); err != nil {
			continue
		}
		if group == p.pid() && pid != p.pid() && !strings.HasPrefix(state, "Z") {
			children = append(children, pid)
		}
	}
	return children
}

// listProcesses returns a line for each process: its ID, its state and its
// process group.
func listProcesses() (string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return "", err
	}
	if len(files) == 0 { // macOS; a small Linux has no ps
		out, err := exec.Command("ps", "-A", "-o", "pid=,stat=,pgid=").Output()
		return string(out), err
	}
	var list strings.Builder
	for _, file := range files {
		// pid (name) state parent group ...; the name may have spaces and
		// parentheses.
		stat := readFile(file) // empty if the process has just ended
		fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		if len(fields) > 2 {
			fmt.Fprintln(&list, filepath.Base(filepath.Dir(file)), fields[0], fields[2])
		}
	}
	return list.String(), nil
}

// killChildren ends what the program started, and returns how many processes
// that were.
func (p *process) killChildren(t testing.TB) int {
	t.Helper()
	killed := p.children(t)
	for _, pid := range killed {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	WaitFor(t, 10*time.Second, "the killed processes to end", func() error {
		for _, pid := range p.children(t) {
			if slices.Contains(killed, pid) {
				return fmt.Errorf("process %d is still there", pid)
			}
		}
		return nil
	})
	return len(killed)
}
