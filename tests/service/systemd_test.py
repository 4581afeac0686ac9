#!/usr/bin/env python3
"""The units under a real systemd: the machine's own, as the first process of namespaces whose root is a copy (an overlay in memory).
It needs root and a cgroup of its own, and is skipped where it cannot be started."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import server

SYSTEMD = "/lib/systemd/systemd"
PLACE = "/opt/darkroom-test"  # of the program and its models
# Nothing of the machine's kernel is set by the copy, and its disks are not looked for.
MASKED = ("systemd-sysctl.service", "systemd-modules-load.service", "systemd-firstboot.service", "systemd-udevd.service", "systemd-udev-trigger.service",
          "systemd-tmpfiles-setup-dev.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
          "dev-hugepages.mount", "systemd-random-seed.service", "systemd-hwdb-update.service")

FIRST = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$HOME_FOLDER"
cd "$HOME_FOLDER"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" root
mkdir -p "root$PLACE/models"
cp "$DARKROOM" "root$PLACE/darkroom"
cp "$CHECKPOINT" "root$PLACE/models/tiny.safetensors"
cp -r "$TOKENIZER" "root$PLACE/tokenizer"
units=root/etc/systemd/system
mkdir -p "$units" root/etc/default root/etc/darkroom
rm -rf "$units"/*.wants "$units"/*.requires root/etc/fstab
sed "s|^ExecStart=[^ ]*|ExecStart=$PLACE/darkroom|" "$BUILD/systemd/darkroom.service" >"$units/darkroom.service"
cp "$SOURCE/systemd/darkroom.socket" "$units/"
ln -sfn /lib/systemd/system/basic.target "$units/default.target"
for unit in $MASKED; do ln -sfn /dev/null "$units/$unit"; done
echo "DARKROOM_OPTIONS=-m tiny --models $PLACE/models --tokenizer $PLACE/tokenizer --packs off --threads 1 --max-steps 1000 --grace 1s" >root/etc/default/darkroom
echo key:abc >root/etc/darkroom/users
chmod 600 root/etc/darkroom/users
mount -t proc proc root/proc
mount --bind root/proc/sys root/proc/sys
mount -o remount,bind,ro root/proc/sys
mount -t sysfs -o ro sysfs root/sys
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs root/$folder; done
chmod 1777 root/tmp
mkdir root/dev/shm root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs root/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts root/dev/pts
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
node() { mknod -m 666 "root/dev/$1" c "$2" "$3"; }
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0
cd root
mkdir -p old
pivot_root . old
umount -l /old
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console --show-status=0 </dev/null >/run/boot.log 2>&1
"""


class Machine:
    """What runs below that systemd."""

    def __init__(self, folder):
        self.process = self.first = self.cgroup = None
        mounted = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        trees = [words[1] for words in mounted if words[2] == "cgroup2" and "rw" in words[3].split(",")]
        if os.geteuid() != 0 or not os.path.exists(SYSTEMD) or not shutil.which("nsenter") or not trees:
            raise unittest.SkipTest("this needs root, systemd, nsenter and a cgroup2 tree")
        try:
            self.cgroup = pathlib.Path(trees[0]) / f"darkroom-test-{os.getpid()}"
            self.cgroup.mkdir()
        except OSError as problem:
            self.cgroup = None
            raise unittest.SkipTest(f"there is no cgroup for a systemd of this test: {problem}") from problem
        (folder / "machine").mkdir()
        self.log = folder / "machine.log"
        where = {"HOME_FOLDER": str(folder / "machine"), "PLACE": PLACE, "DARKROOM": server.DARKROOM, "BUILD": str(server.BUILD),
                 "SOURCE": str(server.SOURCE), "CHECKPOINT": str(server.checkpoint("--seed", "1")), "MASKED": " ".join(MASKED),
                 "TOKENIZER": str(server.SOURCE / "tests/data/tiny-tokenizer"), "PATH": os.environ["PATH"]}
        # Its cgroup is entered before the namespaces: it is the root of what the copy sees.
        enter = f'echo $$ >{self.cgroup}/cgroup.procs && exec unshare --mount --pid --fork --kill-child=KILL --cgroup --uts --ipc --net bash -c "$FIRST"'
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["bash", "-c", enter], env={**where, "FIRST": FIRST}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_it_runs()

    def wait_until_it_runs(self):
        end = time.monotonic() + 120
        said = ""
        while time.monotonic() < end and self.process.poll() is None:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if children and pathlib.Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
                self.first = children[0]
                said = self.run("systemctl is-system-running", check=False)
                if said in ("running", "degraded"):
                    return
            time.sleep(0.2)
        self.end()
        raise unittest.SkipTest(f"no systemd could be started here ({said}): {self.log.read_text(errors='replace')[-300:]}")

    def run(self, script, check=True):
        done = subprocess.run(["nsenter", "-t", self.first, "-a", "bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=server.LIMIT_S, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{script}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def show(self, name, unit="darkroom.service"):
        return self.run(f"systemctl show -p {name} --value {unit}")

    def ask(self, path, method="GET", body=None, header=""):
        """The status, and the JSON of the answer."""
        words = ["curl", "-s", "-m", "200", "-X", method, "-w", "\n%{http_code}", "-H", "Content-Type: application/json"]
        words += ["-H", header] if header else []
        words += ["-d", json.dumps(body)] if body is not None else []
        done = subprocess.run(["nsenter", "-t", self.first, "-n", *words, "http://127.0.0.1:7860" + path], capture_output=True, text=True,
                              timeout=server.LIMIT_S, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(text) if text else None

    def end(self):
        if self.process:
            self.process.kill()  # and with it the first process of its namespace, and all others there
            self.process.wait()
        end = time.monotonic() + 30
        while self.cgroup and self.cgroup.exists() and time.monotonic() < end:
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            time.sleep(0.05)


class Units(server.Case):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("curl"):
            raise unittest.SkipTest("curl is not installed")
        cls.machine = Machine(server.HOME)

    @classmethod
    def tearDownClass(cls):
        cls.machine.end()

    def setUp(self):
        super().setUp()
        self.machine.run("rm -rf /run/systemd/system/darkroom.service.d; systemctl daemon-reload; systemctl reset-failed; systemctl start darkroom.socket")
        self.addCleanup(self.machine.run, "systemctl stop darkroom.socket darkroom.service")

    def use(self, *lines):
        text = "\\n".join(("[Service]",) + lines)
        self.machine.run(f"mkdir -p /run/systemd/system/darkroom.service.d; printf '{text}\\n' >/run/systemd/system/darkroom.service.d/test.conf; "
                         "systemctl daemon-reload")

    def test_a_connection_starts_it_and_a_picture_is_made(self):
        machine = self.machine
        self.assertEqual(machine.show("ActiveState"), "inactive")
        self.assertEqual(machine.ask("/health"), (200, {"status": "ok"}))
        self.assertEqual((machine.show("ActiveState"), machine.show("StatusText")), ("active", "listening on http://127.0.0.1:7860"))
        status, made = machine.ask("/sdapi/v1/txt2img", "POST", {"prompt": "a", "width": 64, "height": 64, "steps": 2, "save_images": True})
        self.assertEqual((status, len(made["images"])), (200, 1))
        # What the kernel says of it is seen from inside all that surrounds it.
        held = machine.ask("/api/v1/memory")[1]
        self.assertTrue(held["regions_agree"])
        self.assertGreater(held["kernel"]["private_bytes"], 0)
        listed = machine.run("find /var/lib/private/darkroom/service -name '*.png' -user darkroom -perm 600 | wc -l")
        self.assertGreaterEqual(int(listed), 1)

    def test_what_surrounds_it(self):
        machine = self.machine
        self.assertEqual(machine.ask("/health")[0], 200)
        main = machine.show("MainPID")
        status = dict(line.split(":\t", 1) for line in machine.run(f"cat /proc/{main}/status").splitlines() if ":\t" in line)
        self.assertNotIn("0", status["Uid"].split())
        self.assertEqual({int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {0})
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        inside = f"nsenter -t {main} -m"
        for path in ("/etc/x", "/var/lib/x", "/usr/x", "/opt/x", "/proc/sys/kernel/hostname", "/sys/fs/cgroup/x"):
            self.assertNotEqual(machine.run(f"{inside} touch {path} 2>/dev/null; echo $?"), "0", path)
        self.assertEqual(machine.run(f"{inside} sh -c 'ls -A /home /root /tmp'").split(), ["/home:", "/root:", "/tmp:"])
        self.assertEqual(machine.run(f"{inside} ls /dev/sda /dev/vda /dev/mem 2>/dev/null", check=False), "")

    def test_it_leaves_when_idle_and_comes_back(self):
        machine = self.machine
        machine.run("sed -i 's/$/ --exit-idle 1s/' /etc/default/darkroom")
        self.addCleanup(machine.run, "sed -i 's/ --exit-idle 1s//' /etc/default/darkroom")
        self.assertEqual(machine.ask("/health")[0], 200)
        self.wait_for(lambda: machine.show("ActiveState") == "inactive", "it to leave")
        self.assertEqual((machine.show("Result"), machine.show("ActiveState", "darkroom.socket")), ("success", "active"))
        self.assertEqual(machine.ask("/health")[0], 200)

    def test_a_stop_puts_the_running_job_back(self):
        machine = self.machine
        job = machine.ask("/api/v1/jobs", "POST", {"prompt": "a", "width": 512, "height": 512, "steps": 1000})[1]["id"]
        state = lambda: machine.ask(f"/api/v1/jobs/{job}")[1]["state"]
        self.wait_for(lambda: state() == "running", "the job to run")
        machine.run("systemctl stop darkroom.service")
        self.assertEqual((machine.show("ActiveState"), machine.show("Result"), machine.show("ExecMainStatus")), ("inactive", "success", "0"))
        self.wait_for(lambda: state() == "running", "the job to run again")  # the question starts the service
        self.assertEqual(machine.ask(f"/api/v1/jobs/{job}", "DELETE")[0], 200)

    def test_it_is_started_again_after_its_end_and_when_it_hangs(self):
        machine = self.machine
        self.use("WatchdogSec=5", "RestartSec=0")
        self.assertEqual(machine.ask("/health")[0], 200)
        for number, name in enumerate(("KILL", "STOP"), 1):
            before = machine.show("MainPID")
            machine.run(f"kill -{name} {before}")
            self.wait_for(lambda: machine.show("NRestarts") == str(number) and machine.show("ActiveState") == "active", f"a start after SIG{name}")
            self.assertNotEqual(machine.show("MainPID"), before)
            self.assertEqual(machine.ask("/health")[0], 200)
        self.assertEqual(machine.show("NRestarts"), "2")  # while it lives, it says so

    def test_R32_users_are_a_credential(self):
        machine = self.machine
        self.use("LoadCredential=users:/etc/darkroom/users")
        self.assertEqual(machine.ask("/api/v1/jobs")[0], 401)
        self.assertEqual(machine.ask("/api/v1/jobs", header="Authorization: Bearer abc")[0], 200)

    def test_it_starts_without_its_socket(self):
        machine = self.machine
        machine.run("systemctl stop darkroom.socket darkroom.service; systemctl start darkroom.service")  # returns when it answers
        self.assertEqual(machine.ask("/health")[0], 200)


if __name__ == "__main__":
    server.main()
