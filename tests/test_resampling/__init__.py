# Copyright (c) mmloc contributors. All rights reserved.
