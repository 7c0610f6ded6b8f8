// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program returns the path of an installed program.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed; scripts/setup.sh installs it", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// server is a redis-server of the test's own.
type server struct {
	t    testing.TB
	addr string
	args []string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

// startServer starts one on loopback; it is stopped when the test ends.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	path, port := program(t, "redis-server"), freePort(t)
	s := &server{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	s.args = append([]string{path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)
	t.Cleanup(func() {
		s.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("redis-server %s said:\n%s", s.addr, s.out.String())
		}
	})
	s.start()
	return s
}

// start starts it, or starts it again, and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server answers", func() bool {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("PING\r\n"))
		buf := make([]byte, 7)
		n, _ := conn.Read(buf)
		return strings.HasPrefix(string(buf[:n]), "+PONG")
	})
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends the process and waits for it. It can be called twice.
func (s *server) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// startCluster starts three servers that share the slots, without replicas.
func startCluster(t testing.TB) []*server {
	t.Helper()
	cli := program(t, "redis-cli")
	var nodes []*server
	args := []string{"--cluster", "create"}
	for range 3 {
		n := startServer(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no")
		nodes = append(nodes, n)
		args = append(args, n.addr)
	}
	out, err := exec.Command(cli, append(args, "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	eventually(t, "the cluster is ready", func() bool {
		for _, n := range nodes {
			_, port, _ := net.SplitHostPort(n.addr)
			out, _ := exec.Command(cli, "-p", port, "cluster", "info").Output()
			if !strings.Contains(string(out), "cluster_state:ok") {
				return false
			}
		}
		return true
	})
	return nodes
}

// freePort returns a TCP port on loopback that nobody listens on, nor on the one
// 10,000 above, where nodes of a cluster talk to each other.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if free(port) && free(port+10_000) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// eventually waits until ok, for at most half a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}
