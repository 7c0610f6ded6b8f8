// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// session is a user, and the token that etcd gave for the password. The token is fetched
// for the first call that needs it, and again after it was refused.
//
// etcd's client does it otherwise: it fetches one when it is made, so that no process
// starts while etcd is away; and one more for each stream, which every heartbeat is,
// though checking a password costs a server some 50 ms of its processor.
type session struct {
	user, password string
	turn           chan struct{} // held while a token is fetched

	mu    sync.Mutex
	known bool
	token string // empty if etcd wants none
}

// newSession returns nil if there is no user.
func newSession(user, password string) *session {
	if user == "" {
		return nil
	}
	return &session{user: user, password: password, turn: make(chan struct{}, 1)}
}

// unary is a [grpc.UnaryClientInterceptor]. It stands inside of the one of etcd's client,
// which repeats a call whose token was refused.
func (s *session) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == pb.Auth_Authenticate_FullMethodName {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	token, err := s.get(ctx, conn)
	if err != nil {
		return err
	}
	err = invoke(withToken(ctx, token), method, req, reply, conn, opts...)
	if refused(err) {
		s.forget(token)
	}
	return err
}

// stream is a [grpc.StreamClientInterceptor].
func (s *session) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, err := s.get(ctx, conn)
	if err != nil {
		return nil, err
	}
	stream, err := open(withToken(ctx, token), desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &sessionStream{stream, s, token}, nil
}

type sessionStream struct {
	grpc.ClientStream
	session *session
	token   string
}

func (s *sessionStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if refused(err) {
		s.session.forget(s.token)
	}
	return err
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// get returns the token. Those who need one at the same time wait for the same.
func (s *session) get(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	if token, known := s.current(); known {
		return token, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", status.FromContextError(ctx.Err()).Err()
	}
	if token, known := s.current(); known {
		return token, nil
	}
	resp, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: s.user, Password: s.password})
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		return "", err
	}
	token := resp.GetToken()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.known = token, true
	return token, nil
}

func (s *session) current() (token string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.known
}

// forget forgets a token that was refused, unless there is another by now.
func (s *session) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.known = false
	}
}
