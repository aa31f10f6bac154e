package door_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/serinhq/serin/mesh/controller/door"
)

// Whoever leads says so in place of whom it follows, also if the API server fails for a while.
func TestAnnouncement(t *testing.T) {
	c := newCluster(t)

	var refused atomic.Int32

	c.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		if refused.Add(1) == 1 {
			return true, nil, errors.New("not now")
		}

		return false, nil, nil
	})

	address, first := openDoor(t, c)
	_, port, _ := net.SplitHostPort(address.String())

	found, err := c.CoreV1().ConfigMaps(namespace).Get(t.Context(), door.ConfigMap, metav1.GetOptions{})
	if err != nil || found.Data["port"] != port || found.Data["protocol"] != door.Protocol || refused.Load() < 2 {
		t.Fatalf("%v after %d attempts, %v", found, refused.Load(), err)
	}

	_, second := openDoor(t, c)
	if second.Certificate == first.Certificate {
		t.Error("the second door has the first one's certificate")
	}
}

// What someone else writes into the ConfigMap is put right while it leads.
func TestAnnouncementIsLookedAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		client := c.CoreV1().ConfigMaps(namespace)

		opened, err := door.New(door.Config{Rollouts: rollouts{}, Kubernetes: c, Namespace: namespace, Pod: pod, Listener: newPipeListener()})
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)

		go func() { done <- opened.Run(ctx) }()

		synctest.Wait()

		written, err := client.Get(t.Context(), door.ConfigMap, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}

		want := maps.Clone(written.Data)
		written.Data["pod"] = "someone-else"

		if _, err := client.Update(t.Context(), written, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}

		sleepFor(t, 31)

		if found, err := client.Get(t.Context(), door.ConfigMap, metav1.GetOptions{}); err != nil || !maps.Equal(found.Data, want) {
			t.Errorf("%v, %v", found, err)
		}

		cancel()

		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRead(t *testing.T) {
	good := map[string]string{"pod": pod, "port": "9443", "certificate": newAuthority(t).pem(), "protocol": "1"}

	if found, err := door.Read(&corev1.ConfigMap{Data: good}); err != nil || found.Port != 9443 || found.Pod != pod {
		t.Errorf("%v, %v", found, err)
	}

	for key, value := range map[string]string{"pod": "", "port": "0", "certificate": "PEM", "protocol": "2"} {
		data := maps.Clone(good)
		data[key] = value

		_, err := door.Read(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}, Data: data})
		if err == nil || !strings.HasPrefix(err.Error(), "ConfigMap a/b: "+key+" is ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
