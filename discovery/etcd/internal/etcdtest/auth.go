// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

type authServer struct {
	pb.UnimplementedAuthServer
	s *Server
}

// User enables authentication, and adds somebody who may do everything.
func (s *Server) User(name, password string) {
	s.change(func() {
		if s.users == nil {
			s.users = map[string]string{}
		}
		s.users[name] = password
	})
}

// ExpireTokens makes all tokens invalid that were given so far. Watches that are under
// way do not notice.
func (s *Server) ExpireTokens() { s.change(func() { clear(s.tokens) }) }

func (v authServer) Authenticate(_ context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	switch password, ok := s.users[r.Name]; {
	case s.users == nil:
		return nil, rpctypes.ErrGRPCAuthNotEnabled
	case !ok || password != r.Password:
		return nil, rpctypes.ErrGRPCAuthFailed
	}
	token := fmt.Sprintf("token.%d", s.logins)
	s.tokens[token] = true
	return &pb.AuthenticateResponse{Header: s.header(), Token: token}, nil
}

func tokenOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if t := md.Get(rpctypes.TokenFieldNameGRPC); len(t) > 0 {
		return t[0]
	}
	return ""
}

// refuse returns why a token is refused, if it is. It requires mu.
func (s *Server) refuse(token string) error {
	switch {
	case s.users == nil:
		return nil
	case token == "":
		return rpctypes.ErrGRPCUserEmpty
	case !s.tokens[token]:
		return rpctypes.ErrGRPCInvalidAuthToken
	}
	return nil
}
