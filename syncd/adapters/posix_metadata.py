"""Mode, owner, ACL and extended attributes: carried from one open file to another. Works on descriptors only.

Content and times are never touched. What the process is not permitted to set stays as it is; rights are never widened.
"""

import ctypes
import errno
import os
import stat as st
import sys
from typing import Final

from syncd.adapters import posix_syscalls as syscalls

_ACL: Final = "system.posix_acl_access"
_NOT_OURS: Final = frozenset({errno.EPERM, errno.EACCES})
_NO_ATTRIBUTES: Final = syscalls.REFUSED | _NOT_OURS
# A value too big for the target, or a full disk: the content matters more than its attributes.
_NO_ROOM: Final = frozenset({errno.E2BIG, errno.ENOSPC, errno.EDQUOT, errno.ERANGE})

_COPYFILE_ACL, _COPYFILE_XATTR = 1, 4


def copy(source: int, target: int) -> None:
    """Give the file behind *target* mode, owner, ACL and attributes of the one behind *source*, as far as permitted."""
    wanted = os.fstat(source)
    kept_owner = _copy_owner(wanted, target)
    mode = st.S_IMODE(wanted.st_mode)
    if not kept_owner:
        mode &= ~(st.S_ISUID | st.S_ISGID)  # rights meant for another owner are not given to this one
    os.fchmod(target, mode)  # after the owner: changing it clears the set-id bits
    if sys.platform == "linux":
        _copy_attributes(source, target)
    elif sys.platform == "darwin":
        _copy_with_copyfile(source, target)


def _copy_owner(wanted: os.stat_result, target: int) -> bool:
    now = os.fstat(target)
    if (now.st_uid, now.st_gid) == (wanted.st_uid, wanted.st_gid):
        return True
    for owner in ((wanted.st_uid, wanted.st_gid), (-1, wanted.st_gid)):
        try:
            os.fchown(target, *owner)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
        else:
            return owner[0] != -1 or now.st_uid == wanted.st_uid
    return False


if sys.platform == "linux":

    def _copy_attributes(source: int, target: int) -> None:
        try:
            names = os.listxattr(source)
        except OSError as error:
            if error.errno in _NO_ATTRIBUTES:
                return
            raise
        for name in sorted(names):
            if name == _ACL or name.startswith("user."):
                _copy_attribute(source, target, name)
        if _ACL not in names and _ACL in os.listxattr(target):
            os.removexattr(target, _ACL)  # inherited from the staging folder's default; the source has none

    def _copy_attribute(source: int, target: int, name: str) -> None:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno != errno.ENODATA and error.errno not in _NO_ATTRIBUTES | _NO_ROOM:
                raise


if sys.platform == "darwin":

    def _copy_with_copyfile(source: int, target: int) -> None:
        # fcopyfile without COPYFILE_STAT: times stay as they are, owner and mode were set above.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.fcopyfile(source, target, None, ctypes.c_uint32(_COPYFILE_ACL | _COPYFILE_XATTR)) != 0:
            number = ctypes.get_errno()
            if number not in _NO_ATTRIBUTES | _NO_ROOM:
                raise OSError(number, os.strerror(number), "fcopyfile")


def executable_mode(mode: int, executable: bool, umask: int) -> int:
    """Return *mode* with the executable bits cleared, or set for the owner and whoever may read (less the umask)."""
    if not executable:
        return mode & ~0o111
    return mode | 0o100 | ((mode & 0o444) >> 2 & ~umask)
