package identity

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/serinhq/serin/internal/rpc"
)

const (
	// DefaultClusterID is istiod's default as well.
	DefaultClusterID = "Kubernetes"

	// certificateProvider is the name under which the control plane refers to a workload's own certificate.
	certificateProvider = "default"
	inboundListener     = "xds.istio.io/grpc/lds/inbound/%s"
	// DefaultRefreshInterval suits certificates that are renewed half an hour before they expire.
	DefaultRefreshInterval = 10 * time.Second
)

// Bootstrap is what grpc-go reads when a process starts, from the file that GRPC_XDS_BOOTSTRAP names: where the control
// plane is, and who the process is towards it and towards its peers.
type Bootstrap struct {
	// ServerURI is the control plane's host:port. Its certificate must be good for that host.
	ServerURI string
	// Directory holds the workload's svid.pem, key.pem and bundle.pem.
	Directory string
	// Identity is whose certificate that is.
	Identity rpc.Identity
	// NodeIP is the address that the workload serves on.
	NodeIP string
	// Workload is the process's or pod's own name.
	Workload string
	// Labels are those by which objects of the mesh select the workload.
	Labels map[string]string
	// ClusterID names the cluster; empty means Kubernetes.
	ClusterID string
	// RefreshInterval is how late a renewed certificate is noticed; 0 means 10 s. Renewals come at half of a lifetime,
	// so it must be well below that.
	RefreshInterval time.Duration
}

// JSON returns the file's contents. Errors: a field that is needed is missing or not of its form.
func (b Bootstrap) JSON() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("xDS bootstrap: %w", err)
	}

	files := map[string]string{
		"certificate_file":    filepath.Join(b.Directory, SVIDFile),
		"private_key_file":    filepath.Join(b.Directory, KeyFile),
		"ca_certificate_file": filepath.Join(b.Directory, BundleFile),
		"refresh_interval":    seconds(cmp.Or(b.RefreshInterval, DefaultRefreshInterval)),
	}

	data, err := json.MarshalIndent(map[string]any{
		"xds_servers": []any{map[string]any{
			"server_uri":      b.ServerURI,
			"channel_creds":   []any{map[string]any{"type": "tls", "config": files}},
			"server_features": []string{"xds_v3"},
		}},
		"node": map[string]any{"id": b.nodeID(), "metadata": b.metadata()},
		"certificate_providers": map[string]any{
			certificateProvider: map[string]any{"plugin_name": "file_watcher", "config": files},
		},
		"server_listener_resource_name_template": inboundListener,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("xDS bootstrap: %w", err)
	}

	return append(data, '\n'), nil
}

// seconds is a duration as protobuf's JSON writes it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// nodeID has the form by which istiod knows proxies.
func (b Bootstrap) nodeID() string {
	namespace := b.Identity.Namespace

	return fmt.Sprintf("sidecar~%s~%s.%s~%s.svc.cluster.local", b.NodeIP, b.Workload, namespace, namespace)
}

func (b Bootstrap) metadata() map[string]any {
	cluster := b.ClusterID
	if cluster == "" {
		cluster = DefaultClusterID
	}

	metadata := map[string]any{
		"GENERATOR": "grpc", "NAMESPACE": b.Identity.Namespace, "SERVICE_ACCOUNT": b.Identity.Name,
		"CLUSTER_ID": cluster, "INSTANCE_IPS": b.NodeIP, "NAME": b.Workload,
	}
	if len(b.Labels) > 0 {
		metadata["LABELS"] = b.Labels
	}

	return metadata
}

func (b Bootstrap) check() error {
	if _, err := netip.ParseAddr(b.NodeIP); err != nil {
		return fmt.Errorf("NodeIP %q: must be an IP address", b.NodeIP)
	}

	if _, err := rpc.ParseIdentity(b.Identity.String()); err != nil {
		return err
	}

	switch {
	case b.ServerURI == "":
		return errors.New("no ServerURI: it must be the control plane's host:port")
	case b.Directory == "":
		return errors.New("no Directory: it must hold the workload's certificate")
	case b.RefreshInterval < 0:
		return fmt.Errorf("RefreshInterval %v: must not be negative", b.RefreshInterval)
	case b.Workload == "":
		return errors.New("no Workload: it must be the process's name")
	default:
		return nil
	}
}
