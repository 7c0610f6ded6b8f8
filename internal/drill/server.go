// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/internal/servers"
)

// Server is a registry's server as a process: it can be killed, and started again
// where it was, with what it has on disk.
type Server struct {
	t     testing.TB
	name  string
	addr  string // of its HTTP side
	args  []string
	bin   string
	ready func(ctx context.Context) error

	cmd    *exec.Cmd
	log    *buffer
	exited chan struct{}
}

// Addr returns where it is reached, as host:port.
func (s *Server) Addr() string { return s.addr }

// Start starts the server, and does not wait until it can be used.
func (s *Server) Start() {
	s.t.Helper()
	s.log, s.exited = &buffer{}, make(chan struct{})
	s.cmd = exec.Command(s.bin, s.args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	servers.EndWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
}

// Kill ends the server without a word.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// WaitReady waits until the server can be used.
func (s *Server) WaitReady() {
	s.t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := s.ready(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-s.exited:
			s.t.Fatalf("%s ended: %s", s.name, s.log)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s is not ready: %v\n%s", s.name, err, s.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Cluster is the servers of a registry.
type Cluster []*Server

func (c Cluster) start(t testing.TB) Cluster {
	t.Helper()
	for _, s := range c {
		s.Start()
		t.Cleanup(s.Kill)
	}
	for _, s := range c {
		s.WaitReady()
	}
	return c
}

// StartEtcd starts an etcd of n servers.
func StartEtcd(t testing.TB, n int) Cluster {
	t.Helper()
	bin := servers.Need(t, "etcd")
	ports := freePorts(t, 2*n)
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("s%d=http://127.0.0.1:%d", i, ports[2*i+1]))
	}
	var c Cluster
	for i := range n {
		addr := fmt.Sprintf("127.0.0.1:%d", ports[2*i])
		c = append(c, &Server{t: t, name: "etcd", bin: bin, addr: addr,
			args: []string{
				fmt.Sprintf("--name=s%d", i), "--data-dir=" + filepath.Join(t.TempDir(), "etcd"), "--log-level=error",
				"--listen-client-urls=http://" + addr, "--advertise-client-urls=http://" + addr,
				fmt.Sprintf("--listen-peer-urls=http://127.0.0.1:%d", ports[2*i+1]),
				fmt.Sprintf("--initial-advertise-peer-urls=http://127.0.0.1:%d", ports[2*i+1]),
				"--initial-cluster=" + strings.Join(members, ","), "--initial-cluster-state=new",
				"--heartbeat-interval=50", "--election-timeout=500",
			},
			ready: func(ctx context.Context) error { return wantBody(ctx, "http://"+addr+"/health", `"true"`) },
		})
	}
	return c.start(t)
}

// EtcdLeader returns which of the servers leads.
func EtcdLeader(t testing.TB, c Cluster) *Server {
	t.Helper()
	for _, s := range c {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := wantBody(ctx, "http://"+s.addr+"/metrics", "\netcd_server_is_leader 1")
		cancel()
		if err == nil {
			return s
		}
	}
	t.Fatal("no leader")
	return nil
}

// StartConsul starts a Consul of n servers; one alone is an agent in development
// mode, which keeps nothing on disk.
func StartConsul(t testing.TB, n int) Cluster {
	t.Helper()
	bin := servers.Need(t, "consul")
	const each = 4
	ports := freePorts(t, each*n)
	var c Cluster
	for i := range n {
		p := ports[each*i:]
		addr := fmt.Sprintf("127.0.0.1:%d", p[0])
		args := []string{
			"agent", "-bind=127.0.0.1", "-client=127.0.0.1", fmt.Sprintf("-node=s%d", i), "-log-level=error",
			fmt.Sprintf("-http-port=%d", p[0]), fmt.Sprintf("-server-port=%d", p[1]), fmt.Sprintf("-serf-lan-port=%d", p[2]),
			"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
			`-hcl=disable_update_check=true performance { raft_multiplier = 1 }`,
		}
		if n == 1 {
			args = append(args, "-dev", "-serf-wan-port=-1")
		} else {
			args = append(args, "-server", fmt.Sprintf("-bootstrap-expect=%d", n), "-data-dir="+t.TempDir(),
				fmt.Sprintf("-serf-wan-port=%d", p[3]), fmt.Sprintf("-retry-join=127.0.0.1:%d", ports[2]), "-retry-interval=200ms")
		}
		c = append(c, &Server{t: t, name: "consul", bin: bin, addr: addr, args: args,
			ready: func(ctx context.Context) error {
				if err := wantBody(ctx, "http://"+addr+"/v1/status/leader", ":"); err != nil {
					return err
				}
				return wantBody(ctx, "http://"+addr+"/v1/catalog/nodes", `"Node"`)
			},
		})
	}
	return c.start(t)
}

// ConsulLeader returns which of the servers leads.
func ConsulLeader(t testing.TB, c Cluster) *Server {
	t.Helper()
	for _, s := range c {
		var port string
		for _, a := range s.args {
			if p, ok := strings.CutPrefix(a, "-server-port="); ok {
				port = p
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := wantBody(ctx, "http://"+s.addr+"/v1/status/leader", ":"+port+`"`)
		cancel()
		if err == nil {
			return s
		}
	}
	t.Fatal("no leader")
	return nil
}

// wantBody asks for a URL and looks for a text in the answer.
func wantBody(ctx context.Context, url, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(body), want) {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return err
}

// portsMu keeps tests side by side from getting the same ports.
var portsMu sync.Mutex

// freePorts returns ports on loopback that nobody listens on, for TCP and UDP.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	var ports []int
	var open []io.Closer
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, l)
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		open = append(open, u)
		ports = append(ports, port)
	}
	return ports
}
